// SPDX-License-Identifier: Apache-2.0
// Persistence records of members that are no more.
import { concatRecords } from '../core/plan/encode.js';
import { structs } from '../core/plan/layout.gen.js';
import type { DataplaneMaps } from './dataplane-maps.js';

const SLICE = 8192;

/** Before a number is handed out again, no client may be bound to it. */
export const forgetPersistence = (maps: DataplaneMaps, members: ReadonlySet<number>): void => {
  if (members.size === 0) return;
  const map = maps.map('persistence');
  const { size } = structs.persist;
  const keySize = structs.persist_key.size;
  const stale: Uint8Array[] = [];
  let cursor: Uint8Array | null = null;
  do {
    const slice = map.readBatch(cursor, SLICE);
    const values = new DataView(slice.values.buffer, slice.values.byteOffset);
    for (let index = 0; index < slice.count; index++)
      if (members.has(values.getUint32(index * size + structs.persist.fields.member.offset, true)))
        stale.push(slice.keys.slice(index * keySize, (index + 1) * keySize));
    cursor = slice.cursor;
  } while (cursor !== null);
  if (stale.length > 0) map.deleteBatch(concatRecords(stale));
};
