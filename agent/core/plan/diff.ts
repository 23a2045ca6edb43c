// SPDX-License-Identifier: Apache-2.0
// Current and wanted tables -> the fewest writes, in an order that no packet can notice.
import { createHash } from 'node:crypto';
import { unpack } from './encode.js';
import { structs } from './layout.gen.js';
import { type FlatTable, nonZero, type Table, type Tables } from './tables.js';

/** What the maps hold now. Slots only as digests: an inner map is never edited, so its digest stands for it. */
export interface CurrentTables extends Readonly<Record<FlatTable, Table>> {
  readonly slots: ReadonlyMap<number, string>;
  readonly bitmap: Uint8Array;
}

export type MapChange =
  | { readonly kind: 'update'; readonly map: FlatTable; readonly entries: Table }
  | { readonly kind: 'delete'; readonly map: FlatTable; readonly keys: readonly string[] }
  | { readonly kind: 'swap'; readonly slots: Tables['slots'] }
  | { readonly kind: 'empty'; readonly pools: readonly number[] }
  | { readonly kind: 'bitmap'; readonly bytes: Uint8Array }
  /** Routing answers that the programs keep by member number or flow are asked for anew. */
  | { readonly kind: 'generation' };

/** Tables whose entries cannot be deleted: zeros stand for an absent one. */
const ARRAYS: readonly FlatTable[] = ['members', 'pools', 'listeners'];

export const EMPTY_TABLES: CurrentTables = {
  members: new Map(),
  pools: new Map(),
  listeners: new Map(),
  allowed: new Map(),
  interfaces: new Map(),
  services: new Map(),
  slots: new Map(),
  bitmap: new Uint8Array(128),
};

/** Words are never changed once made, so each is digested once. */
const digests = new WeakMap<Uint32Array, string>();

export const slotsDigest = (words: Uint32Array): string => {
  const known = digests.get(words);
  if (known !== undefined) return known;
  const digest = createHash('sha256').update(words).digest('base64url');
  digests.set(words, digest);
  return digest;
};

const isSame = (a: Uint8Array | undefined, b: Uint8Array): boolean =>
  a !== undefined && Buffer.compare(a, b) === 0;

const update = (map: FlatTable, entries: Table): MapChange[] =>
  entries.size === 0 ? [] : [{ kind: 'update', map, entries }];

const changed = (current: Table, wanted: Table): Table =>
  new Map([...wanted].filter(([key, value]) => !isSame(current.get(key), value)));

/** A member that loses a flag: slots in use may still name it, so its record follows the slots. */
const isDemoted = (current: Uint8Array | undefined, wanted: Uint8Array): boolean =>
  current !== undefined &&
  (unpack(structs.member, current).flags & ~unpack(structs.member, wanted).flags) !== 0;

const deletes = (map: FlatTable, current: Table, wanted: Table): MapChange[] => {
  const gone = [...current].filter(([key]) => !wanted.has(key));
  if (gone.length === 0) return [];
  if (!ARRAYS.includes(map)) return [{ kind: 'delete', map, keys: gone.map(([key]) => key) }];
  const entries = gone.map(([key, value]) => [key, new Uint8Array(value.length)] as const);
  return [{ kind: 'update', map, entries: new Map(entries) }];
};

const swaps = (current: CurrentTables['slots'], wanted: Tables['slots']): MapChange[] => {
  const changed = [...wanted].filter(([pool, words]) => current.get(pool) !== slotsDigest(words));
  return changed.length === 0 ? [] : [{ kind: 'swap', slots: new Map(changed) }];
};

const empties = (current: CurrentTables['slots'], wanted: Tables['slots']): MapChange[] => {
  const pools = [...current.keys()].filter((pool) => !wanted.has(pool));
  return pools.length === 0 ? [] : [{ kind: 'empty', pools }];
};

const bitmap = (current: Uint8Array, bytes: Uint8Array): MapChange[] =>
  isSame(current, bytes) ? [] : [{ kind: 'bitmap', bytes }];

const generation = (isNeeded: boolean): MapChange[] => (isNeeded ? [{ kind: 'generation' }] : []);

/**
 * Changes that turn `current` into `wanted`. What is used is written before its users, and removed after them:
 * members, slots, pools, sources, listeners, interfaces, bits of addresses, services; then the same way back.
 */
export const diffTables = (current: CurrentTables, wanted: Tables): readonly MapChange[] => {
  const add = (map: FlatTable): MapChange[] => update(map, changed(current[map], wanted[map]));
  const members = [...changed(current.members, wanted.members)];
  const demoted = ([key, value]: [string, Uint8Array]): boolean =>
    isDemoted(current.members.get(key), value);
  const remove = (map: FlatTable): MapChange[] => deletes(map, current[map], wanted[map]);
  const reachesOthers = members.some(([key]) => !current.members.has(key));
  const interfaces = [...add('interfaces'), ...remove('interfaces')];
  const union = wanted.bitmap.map((byte, index) => byte | (current.bitmap[index] ?? 0));
  return [
    ...update('members', new Map(members.filter((entry) => !demoted(entry)))),
    ...generation(reachesOthers),
    ...swaps(current.slots, wanted.slots),
    ...update('members', new Map(members.filter(demoted))),
    ...add('pools'),
    ...add('allowed'),
    ...add('listeners'),
    ...interfaces,
    ...generation(interfaces.length > 0),
    ...bitmap(current.bitmap, union),
    ...add('services'),
    ...remove('services'),
    ...bitmap(union, wanted.bitmap),
    ...remove('listeners'),
    ...remove('allowed'),
    ...remove('pools'),
    ...empties(current.slots, wanted.slots),
    ...remove('members'),
  ];
};

/** What the maps hold after `wanted` has been written. */
export const asCurrent = (wanted: Tables): CurrentTables => ({
  ...wanted,
  slots: new Map([...wanted.slots].map(([pool, words]) => [pool, slotsDigest(words)])),
});

/** What a map was read to hold, as a table. */
export const presentEntries = (map: FlatTable, entries: Table): Table =>
  ARRAYS.includes(map) ? nonZero(entries) : entries;
