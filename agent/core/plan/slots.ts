// SPDX-License-Identifier: Apache-2.0
// Algorithm and weights -> the order of slots in a pool's table.
import type { Algorithm } from '../model/load-balancer.js';
import { maglevTable } from './maglev.js';
import { enums } from './layout.gen.js';

export interface SlotMember {
  readonly number: number;
  /** `address:port`: what both amphorae of a pair agree on. */
  readonly identity: string;
  /** 0-256; 0 drains. */
  readonly weight: number;
  readonly backup: boolean;
  /** Enabled and not found down. */
  readonly healthy: boolean;
}

export interface PoolPlan {
  readonly algorithm: Algorithm;
  /** False for LVS `lc`, which ignores weights (contract P46). */
  readonly weighted: boolean;
  readonly members: readonly SlotMember[];
}

const isUsable = (member: SlotMember): boolean => member.healthy && member.weight > 0;

/** All usable members, or all usable backups when nobody else is usable (`option allbackups`). */
export const usableMembers = (members: readonly SlotMember[]): readonly SlotMember[] => {
  const usable = members.filter(isUsable);
  const first = usable.filter((member) => !member.backup);
  return first.length > 0 ? first : usable;
};

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

interface Turn {
  readonly weight: number;
  readonly members: readonly number[]; // indexes
  next: number;
  current: number; // credit of the member whose turn is next
}

const turnsByWeight = (members: readonly SlotMember[], divisor: number): Turn[] => {
  const groups = new Map<number, number[]>();
  members.forEach((member, index) => {
    const weight = member.weight / divisor;
    const group = groups.get(weight);
    if (group === undefined) groups.set(weight, [index]);
    else group.push(index);
  });
  return [...groups].map(([weight, indexes]) => ({
    weight,
    members: indexes,
    next: 0,
    current: 0,
  }));
};

/**
 * Smooth weighted round robin, as nginx orders it: each step every member gains its weight, the richest one is
 * chosen (the first of equals) and pays the sum. Members of equal weight take turns in their own order, so
 * a group per weight carries one credit: that of the member whose turn is next. Exact over one round.
 */
const smoothOrder = (members: readonly SlotMember[]): number[] => {
  const divisor = members.reduce((sum, member) => gcd(sum, member.weight), 0);
  const total = members.reduce((sum, member) => sum + member.weight / divisor, 0);
  const turns = turnsByWeight(members, divisor);
  const order: number[] = [];
  const indexOf = (turn: Turn): number => turn.members[turn.next] ?? 0;
  const isAhead = (turn: Turn, best: Turn): boolean =>
    turn.current > best.current || (turn.current === best.current && indexOf(turn) < indexOf(best));
  while (order.length < total) {
    for (const turn of turns) turn.current += turn.weight;
    const best = turns.reduce((a, b) => (isAhead(b, a) ? b : a));
    order.push(members[indexOf(best)]?.number ?? 0);
    best.next = (best.next + 1) % best.members.length;
    // Everybody of the group has paid once: the next one starts a round lower.
    if (best.next === 0) best.current -= total;
  }
  return order;
};

const table = (algorithm: number, slots: readonly (readonly [number, number])[]): Uint32Array => {
  const words = new Uint32Array(2 * (slots.length + 1));
  words[0] = slots.length;
  words[1] = algorithm;
  slots.forEach(([member, weight], index) => {
    words[2 * index + 2] = member;
    words[2 * index + 3] = weight;
  });
  return words;
};

/** The words of a pool's inner map: head {count, algorithm}, then {member, weight} per slot. */
export const poolSlots = ({ algorithm, weighted, members }: PoolPlan): Uint32Array => {
  const usable = usableMembers(members);
  switch (algorithm) {
    case 'ROUND_ROBIN':
      return table(
        enums.algorithm.ALGORITHM_ROUND_ROBIN,
        usable.length === 0 ? [] : smoothOrder(usable).map((number) => [number, 1] as const),
      );
    case 'LEAST_CONNECTIONS':
      return table(
        enums.algorithm.ALGORITHM_LEAST_CONNECTIONS,
        usable.map(({ number, weight }) => [number, weighted ? weight : 0] as const),
      );
    case 'SOURCE_IP':
      return table(
        enums.algorithm.ALGORITHM_SOURCE_HASH,
        maglevTable(members, usable).map((number) => [number, 1] as const),
      );
  }
};
