// SPDX-License-Identifier: Apache-2.0
// Ends flows by the kernel's own program, which reads both halves again before it deletes them.
import { concatRecords, pack, unpack } from '../core/plan/encode.js';
import { structs } from '../core/plan/layout.gen.js';
import type { Family } from '../core/plan/address-bytes.js';
import type { DataplaneMaps } from './dataplane-maps.js';

export interface ReapOrder {
  readonly family: Family;
  /** Of client halves. */
  readonly keys: readonly Uint8Array[];
  /** Only if both halves were last seen before this stamp; null: in any case. */
  readonly idleBefore: number | null;
}

/** Returns the number of flows deleted. */
export const reapFlows = (maps: DataplaneMaps, { family, keys, idleBefore }: ReapOrder): number => {
  const list = maps.map(`reap_keys${family}`);
  const room = list.info.maxEntries;
  let reaped = 0;
  for (let from = 0; from < keys.length; from += room) {
    const some = keys.slice(from, from + room);
    const indexes = Uint32Array.from(some, (_, i) => i);
    list.updateBatch(new Uint8Array(indexes.buffer), concatRecords(some));
    const context = pack(structs.reap_context, {
      count: some.length,
      family,
      idle_before: idleBefore ?? 0,
      force: idleBefore === null ? 1 : 0,
    });
    reaped += unpack(structs.reap_context, maps.runSyscall('reap', context)).reaped;
  }
  return reaped;
};
