// SPDX-License-Identifier: Apache-2.0
// Flow tables in slices, so that nobody else in the process waits for a whole table.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { FLOW_SHAPES, type FlowShape, type Slice } from '../core/plan/scan.js';
import type { DataplaneMaps } from './dataplane-maps.js';

export const SLICE_RECORDS = 8192;

export type FlowTable = 'flows4' | 'flows6' | 'half4' | 'half6';

export const shapeOf = (table: FlowTable): FlowShape =>
  table.endsWith('4') ? FLOW_SHAPES[4] : FLOW_SHAPES[6];

/** The table's records; other work of the process runs between slices. */
export async function* slicesOf(maps: DataplaneMaps, table: FlowTable): AsyncGenerator<Slice> {
  const map = maps.map(table);
  let cursor: Uint8Array | null = null;
  do {
    const slice = map.readBatch(cursor, SLICE_RECORDS);
    if (slice.count > 0) yield slice;
    cursor = slice.cursor;
    await nextTurn();
  } while (cursor !== null);
}
