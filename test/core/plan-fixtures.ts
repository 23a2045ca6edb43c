// SPDX-License-Identifier: Apache-2.0
// Builders of model values for the plan tests: a complete default and what a case changes.
import type { DatapathInterface, WantedState } from '../../agent/core/model/dataplane.js';
import type {
  Endpoint,
  IpAddress,
  Listener,
  Member,
  Pool,
} from '../../agent/core/model/load-balancer.js';

export const ip = (text: string): IpAddress => text as IpAddress;
export const at = (address: string, port: number): Endpoint => ({ address: ip(address), port });

export const member = (id: string, address: string, changes: Partial<Member> = {}): Member => ({
  id,
  address: ip(address),
  port: 80,
  weight: 1,
  backup: false,
  enabled: true,
  monitorAddress: null,
  monitorPort: null,
  ...changes,
});

export const pool = (members: readonly Member[], changes: Partial<Pool> = {}): Pool => ({
  id: 'pool-1',
  protocol: 'tcp',
  algorithm: 'ROUND_ROBIN',
  persistence: null,
  monitor: null,
  members,
  memberConnectionLimit: null,
  timeouts: { connectMs: 5000, serverMs: 50_000 },
  ...changes,
});

export const listener = (
  id: string,
  pools: readonly Pool[],
  changes: Partial<Listener> = {},
): Listener => ({
  id,
  loadBalancerId: 'lb-1',
  origin: 'haproxy',
  protocol: 'TCP',
  enabled: true,
  vips: [at('203.0.113.10', 80)],
  connectionLimit: null,
  timeouts: { clientMs: 50_000, connectMs: 5000, serverMs: 60_000 },
  defaultPool: pools[0]?.id ?? null,
  pools,
  engine: 'datapath',
  reasons: [],
  logFormat: null,
  ...changes,
});

export const networkInterface = (
  ifindex: number,
  addresses: readonly string[],
  changes: Partial<DatapathInterface> = {},
): DatapathInterface => ({
  name: `eth${ifindex}`,
  ifindex,
  mtu: 1500,
  addresses: addresses.map((text) => {
    const [address = '', prefix] = text.split('/');
    return { address: ip(address), prefix: Number(prefix) };
  }),
  driver: 'veth',
  hook: 'auto',
  ...changes,
});

export const wantedState = (
  listeners: readonly Listener[],
  changes: Partial<WantedState> = {},
): WantedState => ({ listeners, down: new Set(), interfaces: [], allowed: null, ...changes });
