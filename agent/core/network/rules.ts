// SPDX-License-Identifier: Apache-2.0
// Body of the firewall call of SR-IOV ports -> rules (contract 1.5, 5).
import { frameworkError } from '../../errors.js';
import type { AllowedSources } from '../model/dataplane.js';
import { parseCidr } from '../model/address.js';

export interface FirewallRule {
  readonly protocol: 'SCTP' | 'TCP' | 'UDP' | 'VRRP';
  readonly cidr: string | null;
  readonly port: number;
}

const PROTOCOLS: readonly unknown[] = ['SCTP', 'TCP', 'UDP', 'VRRP'];

/** Throws AgentError 400: exactly these three keys, all required. */
export const parseFirewallRules = (body: unknown): FirewallRule[] => {
  if (!Array.isArray(body) || !body.every(isRule)) {
    throw frameworkError('REQUEST_INVALID', 'Invalid rules information');
  }
  return body;
};

/** What the datapath enforces; VRRP goes to the kernel. */
export const allowedSources = (rules: readonly FirewallRule[]): AllowedSources[] =>
  rules.flatMap(({ protocol, cidr, port }) =>
    protocol === 'VRRP' ? [] : [{ protocol, cidr, port }],
  );

const isRule = (value: unknown): value is FirewallRule => {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 3) return false;
  if (!('protocol' in value && 'cidr' in value && 'port' in value)) return false;
  const { protocol, cidr, port } = value;
  const isSource = cidr === null || (typeof cidr === 'string' && parseCidr(cidr) !== null);
  const isPort = typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65535;
  return PROTOCOLS.includes(protocol) && isSource && isPort;
};
