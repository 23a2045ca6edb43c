// SPDX-License-Identifier: Apache-2.0
// What the datapath's maps must say, worked out from load balancers as their owners configured them. Rules: contract
// 4.3 to 4.5; nothing here asks the product.
import type {
  ListenerModel,
  LoadBalancerModel,
  MemberModel,
  PoolModel,
} from '../core/controller-cases.js';
import {
  canonical,
  expectedEngine,
  haproxyListeners,
  isIpv6,
  isLvs,
  renderedPools,
  vipsOf,
} from '../core/expected-explanation.js';
import type { DatapathView, PoolView, ServiceView } from '../support/datapath-view.js';

/** What the last accepted uploads say: a HAProxy config by load balancer, an LVS config by listener. */
export interface Uploaded {
  readonly haproxy: ReadonlyMap<string, LoadBalancerModel>;
  readonly lvs: ReadonlyMap<string, { model: LoadBalancerModel; listener: ListenerModel }>;
}

/** Members found down, as `<pool>:<listener>/<member>`. */
export type Down = ReadonlySet<string>;

export const listenersOf = (
  uploaded: Uploaded,
): readonly { model: LoadBalancerModel; listener: ListenerModel }[] => [
  ...[...uploaded.haproxy.values()].flatMap((model) =>
    haproxyListeners(model).map((listener) => ({ model, listener })),
  ),
  ...uploaded.lvs.values(),
];

export const expectedDatapath = (uploaded: Uploaded, down: Down): DatapathView =>
  Object.fromEntries(
    listenersOf(uploaded)
      .filter(({ listener, model }) => expectedEngine(listener, model) === 'datapath')
      .flatMap(({ listener, model }) => expectedServices(listener, model, down)),
  );

const expectedServices = (
  listener: ListenerModel,
  model: LoadBalancerModel,
  down: Down,
): [string, ServiceView][] => {
  const protocol = isLvs(listener) ? listener.protocol : 'TCP';
  const pool = renderedPools(listener, model).find(({ id }) => id === listener.default_pool);
  return vipsOf(model).map((vip) => [
    `${protocol} ${canonical(vip)} ${listener.protocol_port}`,
    {
      isLive: true,
      connectionLimit: isLvs(listener) ? 0 : limitOf(listener, 50_000),
      pool: pool === undefined ? null : expectedPool(pool, { listener, vip, down }),
    },
  ]);
};

const limitOf = ({ connection_limit: limit }: ListenerModel, otherwise: number): number =>
  limit > 0 ? limit : otherwise;

interface Around {
  readonly listener: ListenerModel;
  readonly vip: string;
  readonly down: Down;
}

const expectedPool = (pool: PoolModel, { listener, vip, down }: Around): PoolView => {
  const healthy = pool.members
    .filter(({ address }) => isIpv6(address) === isIpv6(vip))
    .filter(({ enabled, weight }) => enabled && weight > 0)
    .filter(({ id }) => !down.has(`${pool.id}:${listener.id}/${id}`));
  // Backups all together, once nobody else is left; LVS configs know no backups.
  const first = healthy.filter(({ backup }) => isLvs(listener) || !backup);
  const usable = first.length > 0 ? first : healthy;
  return {
    algorithm: ALGORITHMS[pool.lb_algorithm] ?? '',
    persistBits: persistBits(pool, listener, vip),
    shares: expectedShares(pool.lb_algorithm, usable, listener),
    memberLimit: isLvs(listener) && usable.length > 0 ? limitOf(listener, 0) : 0,
  };
};

const ALGORITHMS: Readonly<Record<string, string>> = {
  ROUND_ROBIN: 'ALGORITHM_ROUND_ROBIN',
  LEAST_CONNECTIONS: 'ALGORITHM_LEAST_CONNECTIONS',
  SOURCE_IP: 'ALGORITHM_SOURCE_HASH',
};

const expectedShares = (
  algorithm: string,
  usable: readonly MemberModel[],
  listener: ListenerModel,
): Record<string, number> => {
  const divisor = usable.reduce((sum, { weight }) => gcd(sum, weight), 0);
  const shareOf = ({ weight }: MemberModel): number => {
    if (algorithm === 'ROUND_ROBIN') return weight / divisor;
    if (algorithm === 'LEAST_CONNECTIONS') return isLvs(listener) ? 0 : weight; // lc, not wlc (P46)
    return 1;
  };
  return Object.fromEntries(
    usable.map((member) => [
      `${canonical(member.address)} ${member.protocol_port}`,
      shareOf(member),
    ]),
  );
};

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

const persistBits = (
  { session_persistence: given }: PoolModel,
  listener: ListenerModel,
  vip: string,
): number | null => {
  if (given?.type !== 'SOURCE_IP') return null;
  if (isIpv6(vip)) return 128; // a mask says nothing of IPv6
  if (!isLvs(listener)) return 32;
  const mask = given.persistence_granularity ?? '255.255.255.255';
  return mask.split('.').filter((part) => part === '255').length * 8;
};
