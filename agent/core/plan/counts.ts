// SPDX-License-Identifier: Apache-2.0
// Raw counters of the maps -> counts per listener, pool and member that never go backwards.
import type { ListenerCounters, MemberCounters } from '../model/dataplane.js';
import { enums, structs } from './layout.gen.js';
import type { NumberedListener, NumberedMember, Numbers } from './numbers.js';
import type { DataplaneState } from './state.js';

/** One record per possible CPU, each rounded up to 8 bytes, summed by u64 word. */
export const sumWords = (perCpu: Uint8Array, recordSize: number, words: number): number[] => {
  const view = new DataView(perCpu.buffer, perCpu.byteOffset, perCpu.byteLength);
  const stride = (recordSize + 7) & ~7;
  return Array.from({ length: words }, (_, word) => {
    let sum = 0;
    for (let at = word * 8; at < perCpu.length; at += stride)
      sum += Number(view.getBigUint64(at, true));
    return sum;
  });
};

/** u64 words of struct member_counters: rx_packets, rx_bytes, tx_packets, tx_bytes, flows, refusals. */
export const MEMBER_WORDS = structs.member_counters.size / 8;
/** u64 words of struct listener_counters: all but the guard's two u32 at the end. */
export const LISTENER_WORDS = structs.listener_counters.fields.guard_stamp.offset / 8;

/** What the shell reads of the maps, by number. Raw sums since the maps were made. */
export interface CounterReader {
  member(number: number): readonly number[];
  memberOpen(number: number): number;
  listener(number: number): readonly number[];
  listenerOpen(number: number): number;
}

const plus = (a: readonly number[], b: readonly number[]): number[] =>
  Array.from({ length: Math.max(a.length, b.length) }, (_, i) => (a[i] ?? 0) + (b[i] ?? 0));
const minus = (a: readonly number[], b: readonly number[] = []): number[] =>
  a.map((value, i) => value - (b[i] ?? 0));

const memberCounts = (words: readonly number[], open: number): MemberCounters => {
  const [rxPackets = 0, rxBytes = 0, txPackets = 0, txBytes = 0, flows = 0, refusals = 0] = words;
  return { rxPackets, rxBytes, txPackets, txBytes, flows, open, refusals };
};

interface Sums {
  members: readonly number[];
  listeners: readonly number[];
  open: number;
  readonly pools: Record<string, Record<string, MemberCounters>>;
}

const addCounts = (a: MemberCounters, b: MemberCounters): MemberCounters => ({
  rxPackets: a.rxPackets + b.rxPackets,
  rxBytes: a.rxBytes + b.rxBytes,
  txPackets: a.txPackets + b.txPackets,
  txBytes: a.txBytes + b.txBytes,
  flows: a.flows + b.flows,
  open: a.open + b.open,
  refusals: a.refusals + b.refusals,
});

const addMember = (sums: Sums, member: NumberedMember, words: number[], open: number): void => {
  sums.members = plus(sums.members, words);
  if (!member.live) return;
  const pool = (sums.pools[member.poolId] ??= {});
  const counts = memberCounts(words, open);
  const before = pool[member.memberId];
  pool[member.memberId] = before === undefined ? counts : addCounts(before, counts);
};

const listenerCounts = ({ members, listeners, open, pools }: Sums): ListenerCounters => {
  const [flows = 0, refusedAcl = 0, refusedLimit = 0, refusedNoMember = 0] = listeners;
  const [refusedNoPort = 0, refusedTableFull = 0, droppedGuard = 0, reselected = 0] =
    listeners.slice(4);
  return {
    ...memberCounts(members, open),
    flows,
    refusedAcl,
    refusedLimit,
    refusedNoMember,
    refusedNoPort,
    refusedTableFull,
    droppedGuard,
    reselected,
    pools,
  };
};

/** Counts of every listener that is configured now; those of members that left stay in its totals. */
export const listenerTotals = (
  { numbers, baselines, retired }: DataplaneState,
  read: CounterReader,
): Record<string, ListenerCounters> => {
  const sums = new Map<string, Sums>();
  for (const { live, listenerId } of Object.values(numbers.listeners)) {
    if (!live || sums.has(listenerId)) continue;
    const { members = [], listeners = [] } = retired[listenerId] ?? {};
    sums.set(listenerId, { members, listeners, open: 0, pools: {} });
  }
  for (const { number, listenerId } of Object.values(numbers.listeners)) {
    const sum = sums.get(listenerId);
    if (sum === undefined) continue;
    sum.listeners = plus(sum.listeners, minus(read.listener(number), baselines.listeners[number]));
    sum.open += read.listenerOpen(number);
  }
  for (const member of Object.values(numbers.members)) {
    const sum = sums.get(member.listenerId);
    if (sum === undefined) continue;
    const words = minus(read.member(member.number), baselines.members[member.number]);
    addMember(sum, member, words, read.memberOpen(member.number));
  }
  return Object.fromEntries([...sums].map(([id, sum]) => [id, listenerCounts(sum)]));
};

const released = <Item extends NumberedMember | NumberedListener>(
  before: Readonly<Record<string, Item>>,
  after: Readonly<Record<string, Item>>,
): Item[] => Object.entries(before).flatMap(([key, item]) => (key in after ? [] : [item]));

/** Moves the counts of numbers that `numbers` no longer holds into their listeners' retired sums. */
export const retireCounts = (
  state: DataplaneState,
  numbers: Numbers,
  read: CounterReader,
): DataplaneState => {
  const baselines = {
    members: { ...state.baselines.members },
    listeners: { ...state.baselines.listeners },
  };
  const retired = { ...state.retired };
  const add = (id: string, what: 'members' | 'listeners', words: number[]): void => {
    const { members = [], listeners = [] } = retired[id] ?? {};
    const sums = { members, listeners };
    retired[id] = { ...sums, [what]: plus(sums[what], words) };
  };
  for (const { number, listenerId } of released(state.numbers.members, numbers.members)) {
    const words = read.member(number);
    add(listenerId, 'members', minus(words, baselines.members[number]));
    baselines.members[number] = words;
  }
  for (const { number, listenerId } of released(state.numbers.listeners, numbers.listeners)) {
    const words = read.listener(number);
    add(listenerId, 'listeners', minus(words, baselines.listeners[number]));
    baselines.listeners[number] = words;
  }
  return { ...state, numbers, baselines, retired: forgetOldest(retired, numbers) };
};

/** Sums of listeners that are no more are kept for their return, but not of all that ever were. */
const KEPT_RETIRED = 1024;

const forgetOldest = (
  retired: DataplaneState['retired'],
  numbers: Numbers,
): DataplaneState['retired'] => {
  const known = new Set(Object.values(numbers.listeners).map(({ listenerId }) => listenerId));
  const absent = Object.keys(retired).filter((id) => !known.has(id));
  const forgotten = new Set(absent.slice(0, Math.max(0, absent.length - KEPT_RETIRED)));
  return Object.fromEntries(Object.entries(retired).filter(([id]) => !forgotten.has(id)));
};

/** Names of enum reason, lower case, without the prefix. */
export const REASON_NAMES: readonly string[] = Object.keys(enums.reason)
  .filter((name) => name !== 'REASON_MAX')
  .map((name) => name.replace('REASON_', '').toLowerCase());
