// SPDX-License-Identifier: Apache-2.0
// What `amphoractl status` tells: engines and reasons, members and why they are down, hooks, table fill.
import { familyOf } from '../model/address.js';
import type { ApplyReport, Counters } from '../model/dataplane.js';
import { facilityName } from '../log/log-target.js';
import { memberKey } from '../model/ids.js';
import type { Listener, Member, Pool } from '../model/load-balancer.js';

export interface MemberStatus {
  readonly id: string;
  readonly address: string | null;
  readonly port: number | null;
  readonly weight: number;
  readonly backup: boolean;
  /** In the heartbeat's words (contract 3.7). */
  readonly state: 'UP' | 'DOWN' | 'DRAIN' | 'MAINT' | 'no check';
  /** Why it is not plainly up, or null. */
  readonly why: string | null;
  /** Connections open through the datapath; null where HAProxy serves. */
  readonly open: number | null;
}

export interface ListenerStatus {
  readonly id: string;
  readonly loadBalancerId: string;
  readonly protocol: string;
  readonly vips: readonly { readonly address: string; readonly port: number }[];
  readonly engine: string;
  readonly reasons: readonly { readonly code: string; readonly text: string }[];
  /** False where no VIP is an address of the amphora now: the other amphora has them. */
  readonly isLive: boolean;
  readonly open: number | null;
  /** Where lines of its flows go, `path facility`; empty: nowhere. */
  readonly log: readonly string[];
  readonly pools: readonly {
    readonly id: string;
    readonly algorithm: string;
    readonly members: readonly MemberStatus[];
  }[];
}

export interface Status {
  readonly amphoraId: string;
  readonly startedAt: string;
  readonly maps: 'adopted' | 'created';
  readonly listeners: readonly ListenerStatus[];
  readonly interfaces: ApplyReport['hooks'];
  readonly tables: readonly {
    readonly name: string;
    readonly used: number;
    readonly size: number;
  }[];
  /** Records of the datapath's maps that were written or deleted since `startedAt`, by map. */
  readonly mapWrites: Readonly<Record<string, number>>;
  readonly eventsLost: number;
}

/** Last check of a member in HAProxy's words, by `<pool>:<listener>/<member>`. */
export type CheckWords = ReadonlyMap<string, string>;

export interface StatusInput {
  readonly amphoraId: string;
  readonly startedAt: string;
  readonly adopted: boolean;
  readonly listeners: readonly Listener[];
  readonly down: ReadonlySet<string>;
  readonly localAddresses: ReadonlySet<string>;
  readonly hooks: ApplyReport['hooks'];
  readonly mapWrites: Status['mapWrites'];
  readonly counters: Counters;
  readonly checks: CheckWords;
  readonly sizes: { readonly flows: number; readonly listeners: number; readonly members: number };
}

export const buildStatus = (input: StatusInput): Status => ({
  amphoraId: input.amphoraId,
  startedAt: input.startedAt,
  maps: input.adopted ? 'adopted' : 'created',
  listeners: input.listeners.map((listener) => listenerStatus(listener, input)),
  interfaces: input.hooks,
  tables: tablesOf(input),
  mapWrites: input.mapWrites,
  eventsLost: input.counters.eventsLost,
});

const listenerStatus = (listener: Listener, input: StatusInput): ListenerStatus => ({
  id: listener.id,
  loadBalancerId: listener.loadBalancerId,
  protocol: listener.protocol,
  vips: listener.vips,
  engine: listener.engine,
  reasons: listener.reasons,
  isLive: listener.vips.some(({ address }) => input.localAddresses.has(address)),
  open: input.counters.listeners[listener.id]?.open ?? null,
  log: logOf(listener),
  pools: listener.pools.map((pool) => ({
    id: pool.id,
    algorithm: pool.algorithm,
    members: pool.members.map((member) => memberStatus(listener, pool, member, input)),
  })),
});

const logOf = ({ logFormat, logTargets = [] }: Listener): string[] =>
  logFormat === null
    ? []
    : logTargets.map(({ path, facility }) => `${path} ${facilityName(facility)}`);

const memberStatus = (
  listener: Listener,
  pool: Pool,
  member: Member,
  input: StatusInput,
): MemberStatus => {
  const key = memberKey(pool.id, listener.id, member.id);
  const counters = input.counters.listeners[listener.id]?.pools[pool.id]?.[member.id];
  return {
    id: member.id,
    address: member.address,
    port: member.port,
    weight: member.weight,
    backup: member.backup,
    ...stateOf(member, pool, { key, listener, input }),
    open: listener.engine === 'datapath' ? (counters?.open ?? 0) : null,
  };
};

const stateOf = (
  member: Member,
  pool: Pool,
  { key, listener, input }: { key: string; listener: Listener; input: StatusInput },
): Pick<MemberStatus, 'state' | 'why'> => {
  if (!member.enabled) return { state: 'MAINT', why: 'disabled' };
  if (input.down.has(key)) return { state: 'DOWN', why: input.checks.get(key) ?? 'its monitor' };
  const drains = member.weight === 0 ? 'weight 0: no new connections' : null;
  if (pool.monitor === null) return { state: 'no check', why: drains };
  if (drains !== null) return { state: 'DRAIN', why: drains };
  const { address } = member;
  const isOtherFamily =
    address !== null && !listener.vips.some((vip) => familyOf(vip.address) === familyOf(address));
  return { state: 'UP', why: isOtherFamily ? 'of another address family than the VIPs' : null };
};

const tablesOf = ({ listeners, counters, sizes }: StatusInput): Status['tables'] => {
  const served = listeners.filter(({ engine }) => engine === 'datapath');
  const members = served.flatMap(({ pools }) => pools.flatMap((pool) => pool.members));
  const open = Object.values(counters.listeners).reduce((sum, one) => sum + one.open, 0);
  return [
    { name: 'flows', used: open, size: sizes.flows },
    { name: 'listeners', used: served.length, size: sizes.listeners },
    { name: 'members', used: members.length, size: sizes.members },
  ];
};
