// SPDX-License-Identifier: Apache-2.0
// The firewall of SR-IOV ports (operation 5), which came after the stock agent at hand.
import { PORTS } from '../../support/topology.js';
import { OK, type Row, framework, raw } from '../row.js';

const path = (address: string = PORTS.vip.v4) => `/1.0/interface/${address}/rules`;
const put = (rules: unknown, address?: string) =>
  raw('PUT', path(address), {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(rules),
  });
const INVALID = framework(400, 'Bad Request: Invalid rules information');
const rule = { protocol: 'TCP', cidr: '192.0.2.0/24', port: 80 };

export const ruleRows: readonly Row[] = [
  {
    name: 'rules',
    ask: put([rule, { protocol: 'VRRP', cidr: null, port: 112 }]),
    status: 200,
    body: OK,
  },
  { name: 'rules again', ask: put([rule]), status: 200, body: OK },
  { name: 'no rules', ask: put([]), status: 200, body: OK },
  {
    name: 'rules of an address that is none',
    ask: put([rule], 'eth1'),
    status: 400,
    body: { message: 'Invalid IP address' },
  },
  {
    name: 'rules of an address that nobody has, in a body that is none',
    ask: put('nonsense', '10.0.0.99'),
    status: 404,
    body: { message: 'Error interface not found for IP address' },
  },
  {
    name: 'rules of no content type',
    ask: raw('PUT', path(), { body: JSON.stringify([rule]) }),
    ...INVALID,
  },
  ...(
    [
      ['an object', rule],
      ['a rule without a port', [{ protocol: 'TCP', cidr: null }]],
      ['a rule with a key too many', [{ ...rule, x: 1 }]],
      ['a rule of an unknown protocol', [{ ...rule, protocol: 'ICMP' }]],
      ['a rule of port 0', [{ ...rule, port: 0 }]],
      ['a rule of port 65536', [{ ...rule, port: 65_536 }]],
      ['a rule whose port is text', [{ ...rule, port: '80' }]],
    ] as const
  ).map(([what, body]): Row => ({ name: `rules: ${what}`, ask: put(body), ...INVALID })),
  {
    name: 'rules: GET',
    ask: raw('GET', path()),
    ...framework(405, 'Method Not Allowed: The method is not allowed for the requested URL.'),
  },
];
