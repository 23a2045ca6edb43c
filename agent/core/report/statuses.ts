// SPDX-License-Identifier: Apache-2.0
// Pools and members in the heartbeat's words, as each engine of the reference would say them (contract 3.7).
import { backendName, memberKey } from '../model/ids.js';
import type { Listener, Member, Pool } from '../model/load-balancer.js';

export interface PoolStatus {
  readonly status: 'UP' | 'DOWN';
  /** By member id: `UP`, `DOWN`, `UP 1/3`, `DRAIN`, `MAINT`, `no check`; the controller matches prefixes. */
  readonly members: Readonly<Record<string, string>>;
}

export interface Health {
  /** What HAProxy says of a server it serves or checks, by `<pool>:<listener>/<member>`. */
  readonly words: ReadonlyMap<string, string>;
  /** Members that were down when HAProxy last answered: for while it restarts. */
  readonly down: ReadonlySet<string>;
}

/** Those that the controller counts: all of the configs but what is disabled, whatever their engine does. */
export const reportedListeners = (listeners: readonly Listener[]): readonly Listener[] =>
  listeners.filter(({ enabled }) => enabled);

/** By `<pool>:<listener>`, or by the bare pool id for UDP and SCTP. */
export const poolStatuses = (
  listeners: readonly Listener[],
  health: Health,
): ReadonlyMap<string, PoolStatus> =>
  new Map(
    reportedListeners(listeners).flatMap((listener) =>
      listener.pools.map((pool) => [keyOf(listener, pool), statusOf(listener, pool, health)]),
    ),
  );

const keyOf = (listener: Listener, pool: Pool): string =>
  listener.origin === 'lvs' ? pool.id : backendName(pool.id, listener.id);

const statusOf = (listener: Listener, pool: Pool, health: Health): PoolStatus => {
  const isLvs = listener.origin === 'lvs';
  const members = pool.members.map((member) => {
    const key = memberKey(pool.id, listener.id, member.id);
    const said = saidOf(key, pool, health);
    return { member, word: isLvs ? lvsWord(member, said) : haproxyWord(member, said) };
  });
  const isUp =
    members.length === 0 ||
    (isLvs ? pool.monitor === null || members.some(isInIpvs) : members.some(isUsable));
  return {
    status: isUp ? 'UP' : 'DOWN',
    members: Object.fromEntries(members.map(({ member, word }) => [member.id, word])),
  };
};

interface Said {
  readonly member: Member;
  readonly word: string;
}

/** HAProxy's own word; without one a member is up until a check has failed (contract P43). */
const saidOf = (key: string, { monitor }: Pool, { words, down }: Health): string => {
  const word = words.get(key);
  if (word !== undefined) return word;
  if (monitor === null) return 'no check';
  return down.has(key) ? 'DOWN' : 'UP';
};

/** A pool is up while one of its members takes new connections, be it a backup (contract P44). */
const isUsable = ({ member, word }: Said): boolean =>
  member.weight > 0 && (word.startsWith('UP') || word === 'no check');

/** HAProxy says `UP` of a member at weight 0, and the reference rewrites that. */
const haproxyWord = ({ enabled, weight }: Member, said: string): string => {
  if (!enabled || said.startsWith('MAINT')) return 'MAINT';
  return said === 'UP' && weight === 0 ? 'DRAIN' : said;
};

/** IPVS knows no rise and fall, and drains without a checker too. */
const lvsWord = ({ enabled, weight }: Member, said: string): string => {
  if (!enabled) return 'MAINT';
  if (said.startsWith('DOWN')) return 'DOWN';
  if (weight === 0) return 'DRAIN';
  return said.startsWith('UP') ? 'UP' : said;
};

/** The reference asks whether the kernel still has any member, at whatever weight. */
const isInIpvs = ({ word }: Said): boolean => word !== 'DOWN' && word !== 'MAINT';
