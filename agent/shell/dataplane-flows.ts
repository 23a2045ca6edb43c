// SPDX-License-Identifier: Apache-2.0
// The flow tables for people: one record per flow.
import type { FlowFilter, FlowRecord } from '../core/model/dataplane.js';
import { describeFlow, flowNames, type FlowNames } from '../core/plan/flow-record.js';
import { enums } from '../core/plan/layout.gen.js';
import type { Numbers } from '../core/plan/numbers.js';
import { type FlowShape, twinKey } from '../core/plan/scan.js';
import type { DataplaneClock } from './dataplane-clock.js';
import type { DataplaneMaps } from './dataplane-maps.js';
import { type FlowTable, shapeOf } from './dataplane-slices.js';

const TABLES: readonly FlowTable[] = ['flows4', 'flows6', 'half4', 'half6'];
const DEFAULT_LIMIT = 1000;
const SLICE = 4096;

interface Source {
  readonly maps: DataplaneMaps;
  readonly clock: DataplaneClock;
  readonly numbers: Numbers;
}

const isWanted = (record: FlowRecord, filter: FlowFilter): boolean =>
  (filter.listenerId === undefined || filter.listenerId === record.listenerId) &&
  (filter.memberId === undefined || filter.memberId === record.memberId) &&
  (filter.client === undefined ||
    record.client === filter.client ||
    record.client.startsWith(`${filter.client}:`) ||
    record.client.startsWith(`[${filter.client}]:`));

const stateOf = (value: Uint8Array, { state }: FlowShape): number =>
  new DataView(value.buffer, value.byteOffset).getUint32(state, true);

function* recordsOf(table: FlowTable, source: Source, names: FlowNames): Generator<FlowRecord> {
  const form = shapeOf(table);
  const map = source.maps.map(table);
  // Half-open flows have a member half; whether the client's is kept too is the datapath's choice.
  const isHalfOpen = table.startsWith('half');
  const now = { jiffies: source.clock.jiffies(), hz: source.clock.hz };
  let cursor: Uint8Array | null = null;
  do {
    const slice = map.readBatch(cursor, SLICE);
    for (let index = 0; index < slice.count; index++) {
      const key = slice.keys.subarray(index * form.keySize, (index + 1) * form.keySize);
      const value = slice.values.subarray(index * form.valueSize, (index + 1) * form.valueSize);
      const isClient = (stateOf(value, form) & enums.flow_state.FLOW_FROM_CLIENT) !== 0;
      if (isClient === isHalfOpen) continue;
      const twin = isHalfOpen ? null : map.lookup(twinKey(form, key, value));
      yield describeFlow({ family: form.family, key, value, twin, isHalfOpen }, names, now);
    }
    cursor = slice.cursor;
  } while (cursor !== null);
}

/** Flows that pass the filter, established ones first, at most `limit` (1,000). */
export const listFlows = (source: Source, filter: FlowFilter): FlowRecord[] => {
  const found: FlowRecord[] = [];
  const limit = filter.limit ?? DEFAULT_LIMIT;
  const names = flowNames(source.numbers);
  for (const table of TABLES)
    for (const record of recordsOf(table, source, names)) {
      if (found.length >= limit) return found;
      if (isWanted(record, filter)) found.push(record);
    }
  return found;
};
