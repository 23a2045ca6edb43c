// SPDX-License-Identifier: Apache-2.0
// Open flows as counted by the programs, held against the flow tables.
import { packIndex } from '../core/plan/encode.js';
import { structs } from '../core/plan/layout.gen.js';
import type { Numbers } from '../core/plan/numbers.js';
import { type Recount, repairOf } from '../core/plan/repair.js';
import type { ScanTally } from '../core/plan/scan.js';
import { counterReader } from './dataplane-counters.js';
import type { DataplaneMaps } from './dataplane-maps.js';
import type { DataplaneLogger } from './dataplane-options.js';
import { SLICE_RECORDS } from './dataplane-slices.js';

type StateMap = 'member_state' | 'listener_state';

export class OpenRecount {
  readonly #maps: DataplaneMaps;
  readonly #logger: DataplaneLogger;
  #before = new Map<string, Recount>();

  constructor(maps: DataplaneMaps, logger: DataplaneLogger) {
    this.#maps = maps;
    this.#logger = logger;
  }

  /**
   * At the end of a pass over all flows. Numbers whose counter is right are not looked at any further: that is nearly
   * all of them, and an idle amphora with 1,000 members should do nothing.
   */
  check(numbers: Numbers, tally: ScanTally): void {
    const read = counterReader(this.#maps);
    const now = new Map<string, Recount>();
    const byListener = new Map<number, number>();
    const memberOpen = this.#opens('member_state');
    for (const { number, listener } of Object.values(numbers.members)) {
      const found = tally.open[number] ?? 0;
      byListener.set(listener, (byListener.get(listener) ?? 0) + found);
      const open = memberOpen[number] ?? 0;
      if (open === found) continue;
      this.#hold('member_state', number, { open, found, flows: read.member(number)[4] ?? 0 }, now);
    }
    const listenerOpen = this.#opens('listener_state');
    for (const { number } of Object.values(numbers.listeners)) {
      const found = byListener.get(number) ?? 0;
      const open = listenerOpen[number] ?? 0;
      if (open === found) continue;
      const flows = read.listener(number)[0] ?? 0;
      this.#hold('listener_state', number, { open, found, flows }, now);
    }
    this.#before = now;
  }

  #hold(map: StateMap, number: number, recount: Recount, now: Map<string, Recount>): void {
    const name = `${map}/${number}`;
    const change = repairOf(this.#before.get(name), recount);
    if (change === 0) {
      now.set(name, recount);
      return;
    }
    this.#add(map, number, change);
    this.#logger.warn({ map, number, change }, 'counter of open flows corrected');
  }

  /** Counters of the whole map, by number: one call for thousands. */
  #opens(name: StateMap): Int32Array {
    const map = this.#maps.map(name);
    const { offset } = structs[name].fields.open;
    const { maxEntries, valueSize } = map.info; // asks the kernel: once
    const opens = new Int32Array(maxEntries);
    let cursor: Uint8Array | null = null;
    do {
      const slice = map.readBatch(cursor, SLICE_RECORDS);
      const keys = Buffer.from(slice.keys.buffer, slice.keys.byteOffset, slice.keys.byteLength);
      const values = Buffer.from(
        slice.values.buffer,
        slice.values.byteOffset,
        slice.values.byteLength,
      );
      for (let i = 0; i < slice.count; i += 1)
        opens[keys.readUInt32LE(i * 4)] = values.readInt32LE(i * valueSize + offset);
      cursor = slice.cursor;
    } while (cursor !== null);
    return opens;
  }

  /** Read and write follow each other at once; a flow that opens just between is corrected by a later pass. */
  #add(map: StateMap, number: number, change: number): void {
    const record = this.#maps.map(map).lookup(packIndex(number));
    if (record === null) return;
    const bytes = Buffer.from(record);
    const { offset } = structs[map].fields.open;
    bytes.writeInt32LE(bytes.readInt32LE(offset) + change, offset);
    this.#maps.map(map).update(packIndex(number), bytes);
  }
}
