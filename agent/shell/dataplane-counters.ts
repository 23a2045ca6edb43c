// SPDX-License-Identifier: Apache-2.0
// Counters of the maps, read by number.
import {
  type CounterReader,
  LISTENER_WORDS,
  listenerTotals,
  MEMBER_WORDS,
  REASON_NAMES,
  sumWords,
} from '../core/plan/counts.js';
import { packIndex } from '../core/plan/encode.js';
import { structs } from '../core/plan/layout.gen.js';
import type { DataplaneState } from '../core/plan/state.js';
import type { Counters } from '../core/model/dataplane.js';
import type { DataplaneMaps } from './dataplane-maps.js';

export const counterReader = (maps: DataplaneMaps): CounterReader => {
  const words = (map: string, number: number, size: number, count: number): number[] =>
    sumWords(maps.map(map).lookup(packIndex(number)) ?? new Uint8Array(), size, count);
  const open = (map: string, number: number, offset: number): number => {
    const bytes = maps.map(map).lookup(packIndex(number));
    const value = bytes === null ? 0 : Buffer.from(bytes).readInt32LE(offset);
    return Math.max(0, value);
  };
  return {
    member: (n) => words('member_counters', n, structs.member_counters.size, MEMBER_WORDS),
    memberOpen: (n) => open('member_state', n, structs.member_state.fields.open.offset),
    listener: (n) => words('listener_counters', n, structs.listener_counters.size, LISTENER_WORDS),
    listenerOpen: (n) => open('listener_state', n, structs.listener_state.fields.open.offset),
  };
};

const readReasons = (maps: DataplaneMaps): Record<string, number> => {
  const map = maps.map('reasons');
  const count = (index: number): number =>
    sumWords(map.lookup(packIndex(index)) ?? new Uint8Array(), 8, 1)[0] ?? 0;
  return Object.fromEntries(REASON_NAMES.map((name, index) => [name, count(index)]));
};

/** Everything that is counted, summed over CPUs. */
export const readCounters = (maps: DataplaneMaps, state: DataplaneState): Counters => {
  const reasons = readReasons(maps);
  return {
    listeners: listenerTotals(state, counterReader(maps)),
    reasons,
    eventsLost: reasons['event_lost'] ?? 0,
  };
};
