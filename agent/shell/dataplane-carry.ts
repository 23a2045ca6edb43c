// SPDX-License-Identifier: Apache-2.0
// The records of one map into another of the same name, slice by slice; packets may meet both.
import { type Carriage, convertRecords } from '../core/plan/carry.js';
import { concatRecords } from '../core/plan/encode.js';
import { structs } from '../core/plan/layout.gen.js';
import { addon, type BpfMap } from '../../native/index.js';
import { SLICE_RECORDS } from './dataplane-slices.js';

export interface MapPair {
  readonly from: BpfMap;
  readonly to: BpfMap;
  readonly how: Carriage;
}

interface Converted {
  readonly keys: readonly Uint8Array[];
  readonly values: readonly Uint8Array[];
}

const PERCPU_ARRAY = 6;
/** More than one member is given in the moment between two looks at its count. */
const PORTS_IN_BETWEEN = 1024;

/** A record that is here already is newer and stays. Yields how many came of each slice; throws when the map is full. */
export function* carryFlows(pair: MapPair): Generator<number> {
  for (const slice of convertedSlices(pair))
    yield write(pair.to, slice, (key) => pair.to.lookup(key) === null);
}

/** Entries of an array, as far as ours goes, over what is there. */
export const carryCounts = (pair: MapPair): void => {
  const { maxEntries } = pair.to.info;
  for (const slice of convertedSlices(pair))
    write(pair.to, slice, (key) => Buffer.from(key).readUInt32LE(0) < maxEntries);
};

/** Ports are handed out by a count: those that other programs hand out before they are replaced are left to them. */
export const skipSnatPorts = (map: BpfMap): void => {
  const { offset } = structs.member_state.fields.port_cursor;
  const { valueSize } = map.info;
  const { keys, values } = map.dump();
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
  for (let at = offset; at < values.byteLength; at += valueSize)
    view.setUint32(at, view.getUint32(at, true) + PORTS_IN_BETWEEN, true);
  map.updateBatch(keys, values);
};

function* convertedSlices({ from, to, how }: MapPair): Generator<Converted> {
  const { type, valueSize } = to.info;
  const perRecord = type === PERCPU_ARRAY ? addon.possibleCpus() : 1;
  const strides = { from: from.info.valueSize / perRecord, to: valueSize / perRecord };
  let cursor: Uint8Array | null = null;
  do {
    const slice = from.readBatch(cursor, SLICE_RECORDS);
    const keys = convertRecords(how.key, slice.keys, slice.count);
    const values = convertRecords(how.value, slice.values, slice.count * perRecord, strides);
    yield { keys: split(keys, slice.count), values: split(values, slice.count) };
    cursor = slice.cursor;
  } while (cursor !== null);
}

const split = (bytes: Uint8Array, count: number): Uint8Array[] => {
  const size = bytes.length / Math.max(count, 1);
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
};

const write = (
  to: BpfMap,
  { keys, values }: Converted,
  isWanted: (key: Uint8Array) => boolean,
): number => {
  const chosen = keys.flatMap((key, i) => (isWanted(key) ? i : []));
  if (chosen.length === 0) return 0;
  const pick = (records: readonly Uint8Array[]): Uint8Array =>
    concatRecords(chosen.flatMap((i) => records[i] ?? []));
  return to.updateBatch(pick(keys), pick(values));
};
