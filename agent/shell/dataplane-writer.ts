// SPDX-License-Identifier: Apache-2.0
// Carries out planned changes on the maps, and reads back what they hold.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { concatRecords, packIndex } from '../core/plan/encode.js';
import {
  type CurrentTables,
  type MapChange,
  presentEntries,
  slotsDigest,
} from '../core/plan/diff.js';
import { structs } from '../core/plan/layout.gen.js';
import type { InstalledSlots } from '../core/plan/state.js';
import { type FlatTable, hexOf, type Table } from '../core/plan/tables.js';
import { addon, type BpfMap } from '../../native/index.js';
import type { DataplaneControl } from './dataplane-control.js';
import type { DataplaneMaps } from './dataplane-maps.js';

const SWAPS_AT_ONCE = 16;
const BPF_MAP_TYPE_ARRAY = 2;
/** Lets inner maps differ in length. */
const BPF_F_INNER_MAP = 0x1000;

const bytesOf = (hex: string): Uint8Array => Buffer.from(hex, 'hex');

const readTable = (map: BpfMap): Table => {
  const { keys, values, count } = map.dump();
  const { keySize, valueSize } = map.info;
  const entries = Array.from({ length: count }, (_, i): [string, Uint8Array] => [
    hexOf(keys.subarray(i * keySize, (i + 1) * keySize)),
    values.slice(i * valueSize, (i + 1) * valueSize),
  ]);
  return new Map(entries);
};

const fillInner = (pool: number, words: Uint32Array): BpfMap => {
  const length = words.length / 2;
  const inner = addon.createMap({
    type: BPF_MAP_TYPE_ARRAY,
    name: `slots_${pool}`,
    keySize: 4,
    valueSize: structs.pool_slot.size,
    maxEntries: length,
    flags: BPF_F_INNER_MAP,
  });
  const keys = Uint32Array.from({ length }, (_, i) => i);
  inner.updateBatch(new Uint8Array(keys.buffer), new Uint8Array(words.buffer));
  return inner;
};

export class DataplaneWriter {
  readonly #maps: DataplaneMaps;
  readonly #control: DataplaneControl;
  /** By pool number; what the outer map holds now. */
  readonly slots = new Map<number, InstalledSlots>();

  constructor(maps: DataplaneMaps, control: DataplaneControl) {
    this.#maps = maps;
    this.#control = control;
  }

  /** What the maps hold. `known`: inner maps that an earlier agent wrote down. */
  read(known: Readonly<Record<string, InstalledSlots>>): CurrentTables {
    const table = (map: FlatTable): Table => presentEntries(map, readTable(this.#maps.map(map)));
    this.slots.clear();
    for (const [key, value] of readTable(this.#maps.map('pool_slots'))) {
      const pool = Buffer.from(key, 'hex').readUInt32LE(0);
      const id = Buffer.from(value).readUInt32LE(0);
      const written = known[pool];
      this.slots.set(pool, written?.id === id ? written : { id, digest: 'unknown' });
    }
    return {
      members: table('members'),
      pools: table('pools'),
      listeners: table('listeners'),
      allowed: table('allowed'),
      interfaces: table('interfaces'),
      services: table('services'),
      slots: new Map([...this.slots].map(([pool, { digest }]) => [pool, digest])),
      bitmap: this.#control.bitmap(),
    };
  }

  /** In order. Returns the number of records written or deleted, by map. */
  async write(changes: readonly MapChange[]): Promise<Record<string, number>> {
    const writes: Record<string, number> = {};
    const count = (map: string, records: number): void => {
      writes[map] = (writes[map] ?? 0) + records;
    };
    for (const change of changes)
      switch (change.kind) {
        case 'update':
          this.#update(change.map, change.entries);
          count(change.map, change.entries.size);
          break;
        case 'delete':
          this.#maps.map(change.map).deleteBatch(concatRecords(change.keys.map(bytesOf)));
          count(change.map, change.keys.length);
          break;
        case 'swap':
          await this.#swapAll([...change.slots]);
          count('pool_slots', change.slots.size);
          break;
        case 'empty':
          this.#maps.map('pool_slots').deleteBatch(concatRecords(change.pools.map(packIndex)));
          for (const pool of change.pools) this.slots.delete(pool);
          count('pool_slots', change.pools.length);
          break;
        case 'bitmap':
          this.#control.setBitmap(change.bytes);
          count('control', 1);
          break;
        case 'generation':
          this.#control.bumpGeneration();
          count('control', 1);
      }
    return writes;
  }

  #update(map: FlatTable, entries: Table): void {
    const keys = concatRecords([...entries.keys()].map(bytesOf));
    this.#maps.map(map).updateBatch(keys, concatRecords([...entries.values()]));
  }

  /** The kernel waits for its readers in each call, so a few go together and others run in between. */
  async #swapAll(slots: readonly (readonly [number, Uint32Array])[]): Promise<void> {
    for (let from = 0; from < slots.length; from += SWAPS_AT_ONCE) {
      if (from > 0) await nextTurn();
      this.#swap(slots.slice(from, from + SWAPS_AT_ONCE));
    }
  }

  /** Built aside and put in place whole: no packet meets half a table. */
  #swap(slots: readonly (readonly [number, Uint32Array])[]): void {
    const inners = slots.map(([pool, words]) => fillInner(pool, words));
    try {
      const keys = concatRecords(slots.map(([pool]) => packIndex(pool)));
      this.#maps.map('pool_slots').setInners(keys, inners);
      slots.forEach(([pool, words], index) => {
        const id = inners[index]?.info.id ?? 0;
        this.slots.set(pool, { id, digest: slotsDigest(words) });
      });
    } finally {
      for (const inner of inners) inner.close();
    }
  }
}
