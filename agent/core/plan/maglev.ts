// SPDX-License-Identifier: Apache-2.0
// Source hashing: the table of Maglev (Eisenbud and others, NSDI 2016), weighted.
import type { SlotMember } from './slots.js';

/**
 * Table lengths, all prime. The length follows the configured members, not the usable ones, and has few steps,
 * because a client keeps its member only while the length stays.
 */
const LENGTHS = [
  { members: 5, length: 4093 },
  { members: 64, length: 16_381 },
  { members: Infinity, length: 65_537 },
] as const;

const lengthFor = (members: number): number =>
  LENGTHS.find((step) => members <= step.members)?.length ?? 65_537;

/** FNV-1a with the mixing of MurmurHash3 behind it: the last characters of addresses must reach all bits. */
const hash = (text: string, seed: number): number => {
  let h = seed >>> 0;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
};

/** One member's walk through its own permutation of the table. */
interface Walker {
  readonly member: SlotMember;
  readonly skip: number;
  position: number;
  credit: number;
}

const walkers = (members: readonly SlotMember[], length: number): Walker[] =>
  [...members]
    // By identity, so that both amphorae of a pair take turns alike; code units, not locale.
    .sort((a, b) => (a.identity < b.identity ? -1 : a.identity > b.identity ? 1 : 0))
    .map((member) => ({
      member,
      skip: 1 + (hash(member.identity, 0x9e3779b1) % (length - 1)),
      position: hash(member.identity, 0x811c9dc5) % length,
      credit: 0,
    }));

const EMPTY = -1;

/** Lets the walkers take empty slots in turn, as often as their weights allow, until none is left. */
const fill = (owners: Int32Array, walking: readonly Walker[]): void => {
  let empty = owners.reduce((sum, owner) => sum + (owner === EMPTY ? 1 : 0), 0);
  const heaviest = Math.max(...walking.map(({ member }) => member.weight));
  while (empty > 0) {
    for (const walker of walking) {
      walker.credit += walker.member.weight;
      if (walker.credit < heaviest) continue;
      walker.credit -= heaviest;
      while (owners[walker.position] !== EMPTY)
        walker.position = (walker.position + walker.skip) % owners.length;
      owners[walker.position] = walker.member.number;
      if (--empty === 0) return;
    }
  }
};

/**
 * Member number per slot; a client's slot is its address's hash modulo the length. First all configured members of
 * the tier share the table, healthy or not; then the slots of those that are not usable are shared among
 * the usable. So a member that goes down moves its own share and nothing else, and takes it back when it returns.
 */
export const maglevTable = (
  configured: readonly SlotMember[],
  usable: readonly SlotMember[],
): number[] => {
  if (usable.length === 0) return [];
  const tier = configured.filter((m) => m.weight > 0 && m.backup === usable[0]?.backup);
  const owners = new Int32Array(lengthFor(configured.length)).fill(EMPTY);
  fill(owners, walkers(tier, owners.length));
  const numbers = new Set(usable.map(({ number }) => number));
  if (numbers.size < tier.length) {
    owners.forEach((owner, slot) => {
      if (!numbers.has(owner)) owners[slot] = EMPTY;
    });
    fill(owners, walkers(usable, owners.length));
  }
  return [...owners];
};
