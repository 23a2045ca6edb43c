// SPDX-License-Identifier: Apache-2.0
// The object's maps as a whole: emptied between cases, counters summed over CPUs.
import type { BpfMap } from '../../../native/index.js';
import {
  packIndex,
  unpack,
  type StructLayout,
  type StructValues,
} from '../../../agent/core/plan/encode.js';
import { enums } from '../../../agent/core/plan/layout.gen.js';

type Field = number | bigint | Uint8Array;

/** What may remain between cases, and must not. */
const FORGOTTEN = [
  ...['services', 'allowed', 'interfaces', 'flows4', 'flows6', 'half4', 'half6'],
  ...['fragments', 'persistence'],
];
const ZEROED = [
  ...['listeners', 'pools', 'members', 'pool_state', 'member_state', 'listener_state'],
  ...['member_counters', 'listener_counters', 'guard'],
];
/** Records of arrays above this number are never used by tables. */
const HIGHEST_NUMBER = 40;

/** As if the object had just been loaded; `recent` is live memory and the caller's to clear. */
export const emptyMaps = (map: (name: string) => BpfMap): void => {
  for (const name of FORGOTTEN) clear(map(name));
  for (const name of ZEROED) zero(map(name), HIGHEST_NUMBER);
  zero(map('reasons'), enums.reason.REASON_MAX);
};

export const clear = (map: BpfMap): void => {
  const { keys, count } = map.dump();
  const size = map.info.keySize;
  for (let i = 0; i < count; i += 1) map.delete(keys.slice(i * size, (i + 1) * size));
};

/** The record of an array; for per-CPU arrays the sum of each field over the CPUs. */
export const summed = <L extends StructLayout>(
  map: BpfMap,
  layout: L,
  number: number,
): StructValues<L> => {
  const bytes = map.lookup(packIndex(number)) ?? new Uint8Array();
  const sums: Record<string, Field> = {};
  for (let at = 0; at + layout.size <= bytes.length; at += Math.ceil(layout.size / 8) * 8)
    for (const [name, value] of Object.entries<Field>(unpack(layout, bytes, at)))
      sums[name] = added(sums[name], value);
  return sums as StructValues<L>;
};

const zero = (map: BpfMap, most: number): void => {
  const record = Buffer.alloc(map.info.valueSize);
  const count = Math.min(map.info.maxEntries, most);
  for (let i = 0; i < count; i += 1) map.update(packIndex(i), record);
};

const added = (sum: Field | undefined, value: Field): Field => {
  if (typeof sum === 'bigint' && typeof value === 'bigint') return sum + value;
  return typeof sum === 'number' && typeof value === 'number' ? sum + value : value;
};
