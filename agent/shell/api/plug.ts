// SPDX-License-Identifier: Apache-2.0
// Ports of the VM and their addresses (contract 1.5, 4-7).
import type { Amphora } from '../../amphora.js';
import { parseIpAddress } from '../../core/model/address.js';
import { parseNetworkPlug, parseVipPlug } from '../../core/network/plug-body.js';
import { parseFirewallRules } from '../../core/network/rules.js';
import { AgentError } from '../../errors.js';
import type { Network } from '../network.js';
import { OK, type Request, type Route, answer, jsonBody, param } from './routes.js';

export const plugRoutes = (
  amphora: Amphora,
  network: Pick<Network, 'interfaceOf'>,
): readonly Route[] => [
  {
    method: 'POST',
    path: '/1.0/plug/vip/:vip',
    handle: async (request) => {
      const plug = parseVipPlug(param(request, 'vip'), jsonBody(request));
      return answer(202, { ...OK, details: await amphora.plugVip(plug) });
    },
  },
  {
    method: 'POST',
    path: '/1.0/plug/network',
    handle: async (request) => {
      const plug = parseNetworkPlug(jsonBody(request));
      return answer(202, { ...OK, details: await amphora.plugNetwork(plug) });
    },
  },
  {
    method: 'GET',
    path: '/1.0/interface/:ip',
    handle: async (request) =>
      answer(200, { ...OK, interface: await findInterface(network, request) }),
  },
  {
    method: 'PUT',
    path: '/1.0/interface/:ip/rules',
    handle: async (request) => {
      await findInterface(network, request); // the address is judged before the body
      await amphora.putRules(parseFirewallRules(jsonBody(request)));
      return answer(200, OK);
    },
  },
];

const findInterface = async (
  network: Pick<Network, 'interfaceOf'>,
  request: Request,
): Promise<string> => {
  const address = parseIpAddress(param(request, 'ip'));
  if (address === null) {
    throw new AgentError('REQUEST_INVALID', { message: 'Invalid IP address' });
  }
  const name = await network.interfaceOf(address);
  if (name === null) {
    const message = 'Error interface not found for IP address';
    throw new AgentError('ADDRESS_NOT_FOUND', { message });
  }
  return name;
};
