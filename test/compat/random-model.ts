// SPDX-License-Identifier: Apache-2.0
// Random load balancers within what Octavia's API lets through: see api/v2/types and common/validate.py there.
import type { LoadBalancerModel } from '../core/controller-cases.js';
import type { Random } from '../support/random.js';
import { randomListener, type RandomListener } from './random-listener.js';
import { randomPool, type RandomPool } from './random-pool.js';

export interface RandomModel extends LoadBalancerModel {
  readonly name: string;
  readonly project_id: string;
  readonly topology: 'SINGLE' | 'ACTIVE_STANDBY';
  readonly amphorae: readonly Readonly<Record<string, string | number>>[];
  readonly networks: object;
  readonly listeners: readonly RandomListener[];
  readonly pools: readonly RandomPool[];
}

/** Where a load balancer may live. */
export interface Place {
  readonly id: string;
  /** The amphora that the configs are for; of a pair, the master. */
  readonly amphoraId: string;
  readonly vips: readonly string[];
  /** Listeners of HAProxy's configs take their ports from here. */
  readonly ports: readonly number[];
  /** UDP and SCTP listeners by id. Their port stays theirs: no API lets two have one. */
  readonly lvs: readonly { readonly id: string; readonly port: number }[];
  /** The ids of the others, so that one config after another says something else of the same listener. */
  readonly listenerIds: readonly string[];
  readonly memberAddresses: readonly string[];
  readonly memberPorts: readonly number[];
  /** An amphora can run one of each: peers and the exporter have fixed ports. */
  readonly isAlone: boolean;
}

/** Names are the user's own and stand in no config: nothing in them may matter. */
export const HOSTILE_NAMES = [
  ...['', 'web', 'Größe', '名前', '$(reboot)', '`id`', '"; global', "it's", '../../etc/passwd'],
  ...['a\nglobal\n    lua-load /tmp/x', '{{ 7 * 7 }}', '%s%n', '# comment', 'x'.repeat(255)],
];

export const randomModel = (random: Random, place: Place): RandomModel => {
  const vips = random.sample(place.vips, random.pick([1, 1, 1, 2, 3]));
  const pools: RandomPool[] = [];
  const newPool = (protocol: string): RandomPool => {
    const pool = randomPool(random, { protocol, vips, place });
    pools.push(pool);
    return pool;
  };
  const listeners = random
    .sample(place.listenerIds, random.integer(1, place.listenerIds.length))
    .map((id, index): { id: string; port: number; isLvs: boolean } => {
      const port = place.ports[(index * 7 + random.integer(0, 6)) % place.ports.length] ?? 1;
      return { id, port, isLvs: false };
    })
    .filter(({ port }, index, all) => all.findIndex((one) => one.port === port) === index)
    .concat(
      random
        .sample(place.lvs, random.integer(0, place.lvs.length))
        .map((one) => ({ ...one, isLvs: true })),
    )
    .map((asked) => randomListener(random, { ...asked, place, pools, newPool }));
  return {
    id: place.id,
    name: random.pick(HOSTILE_NAMES),
    project_id: random.uuid().replaceAll('-', ''),
    enabled: random.chance(0.95),
    vip: vips[0] ?? '',
    additional_vips: vips.slice(1),
    listeners,
    pools,
    ...amphorae(place, vips, place.isAlone && random.chance(0.3)),
  };
};

const amphorae = ({ amphoraId }: Place, vips: readonly string[], isPair: boolean) => ({
  topology: isPair ? ('ACTIVE_STANDBY' as const) : ('SINGLE' as const),
  amphorae: ['MASTER', 'BACKUP'].slice(0, isPair ? 2 : 1).map((role, index) => ({
    id: index === 0 ? amphoraId : '0000a100-0000-4000-8000-000000000000',
    role: isPair ? role : 'STANDALONE',
    lb_network_ip: `192.168.0.1${index}`,
    vrrp_ip: `10.0.0.2${index}`,
    ha_ip: vips[0] ?? '',
    vrrp_interface: 'eth1',
    vrrp_id: 1,
    vrrp_priority: 100 - 10 * index,
  })),
  networks: {
    vip_subnet: { ...subnetOf(vips[0] ?? ''), host_routes: [] },
    additional_vip_data: vips
      .slice(1)
      .map((ip_address) => ({ ip_address, subnet: { ...subnetOf(ip_address), host_routes: [] } })),
  },
});

const subnetOf = (address: string): { cidr: string; gateway_ip: string } => {
  if (address.includes(':')) return { cidr: '2001:db8::/64', gateway_ip: '2001:db8::1' };
  const network = address.split('.').slice(0, 3).join('.');
  return { cidr: `${network}.0/24`, gateway_ip: `${network}.1` };
};
