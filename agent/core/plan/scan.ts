// SPDX-License-Identifier: Apache-2.0
// A look at packed records of a flow table, without an allocation per record.
import { stampsBetween } from './clock.js';
import type { Family } from './address-bytes.js';
import { enums, structs } from './layout.gen.js';

const { FLOW_FROM_CLIENT, FLOW_OPEN, FLOW_CLOSED } = enums.flow_state;

/** What a scan needs to know of one family's records. */
export interface FlowShape {
  readonly family: Family;
  readonly keySize: number;
  readonly valueSize: number;
  readonly stamp: number;
  readonly state: number;
  readonly member: number;
  readonly protocol: number;
  /** Length of an address, and offsets of what makes the twin's key. */
  readonly addressSize: number;
  readonly sport: number;
}

const shape = (
  family: Family,
  key: typeof structs.flow_key4 | typeof structs.flow_key6,
  value: typeof structs.flow4 | typeof structs.flow6,
): FlowShape => ({
  family,
  keySize: key.size,
  valueSize: value.size,
  stamp: value.fields.stamp.offset,
  state: value.fields.state.offset,
  member: value.fields.member.offset,
  protocol: key.fields.protocol.offset,
  addressSize: key.fields.daddr.offset - key.fields.saddr.offset,
  sport: key.fields.sport.offset,
});

export const FLOW_SHAPES = {
  4: shape(4, structs.flow_key4, structs.flow4),
  6: shape(6, structs.flow_key6, structs.flow6),
} as const;

export interface Slice {
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  readonly count: number;
}

export interface ScanRules {
  /** Stamp of now. */
  readonly now: number;
  /** Stamp units of idleness that end a flow, by member number. */
  readonly idle: Uint32Array;
  /** The same for closed flows, whichever their member. */
  readonly closed: number;
}

/** Sums of one pass over all tables, by member number. */
export interface ScanTally {
  /** Client halves counted as open. */
  readonly open: Uint32Array;
  /** Halves that name the member. */
  readonly halves: Uint32Array;
  records: number;
}

export const newTally = (members: number): ScanTally => ({
  open: new Uint32Array(members),
  halves: new Uint32Array(members),
  records: 0,
});

export interface ScanFindings {
  /** Keys of client halves that look idle, by the stamp units that they may be idle. */
  readonly idle: Map<number, Uint8Array[]>;
  /** Indexes of member halves that look idle: orphans, unless a client half still speaks for them. */
  readonly orphans: number[];
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Adds to `tally` and returns what should end. */
export const scanFlows = (
  form: FlowShape,
  slice: Slice,
  rules: ScanRules,
  tally: ScanTally,
): ScanFindings => {
  const values = viewOf(slice.values);
  const idle: ScanFindings['idle'] = new Map();
  const orphans: number[] = [];
  for (let index = 0, at = 0; index < slice.count; index++, at += form.valueSize) {
    const state = values.getUint32(at + form.state, true);
    const member = values.getUint32(at + form.member, true);
    const isClient = (state & FLOW_FROM_CLIENT) !== 0;
    tally.halves[member] = (tally.halves[member] ?? 0) + 1;
    if (isClient && (state & FLOW_OPEN) !== 0) tally.open[member] = (tally.open[member] ?? 0) + 1;
    const limit = (state & FLOW_CLOSED) !== 0 ? rules.closed : (rules.idle[member] ?? 0);
    if (stampsBetween(values.getUint32(at + form.stamp, true), rules.now) <= limit) continue;
    if (!isClient) {
      orphans.push(index);
      continue;
    }
    const key = slice.keys.slice(index * form.keySize, (index + 1) * form.keySize);
    const group = idle.get(limit);
    if (group === undefined) idle.set(limit, [key]);
    else group.push(key);
  }
  tally.records += slice.count;
  return { idle, orphans };
};

/** Key of the other half: (new_daddr, new_saddr, new_dport, new_sport, protocol). */
export const twinKey = (form: FlowShape, key: Uint8Array, value: Uint8Array): Uint8Array => {
  const { addressSize: size, sport } = form;
  const twin = new Uint8Array(form.keySize);
  twin.set(value.subarray(size, 2 * size), 0);
  twin.set(value.subarray(0, size), size);
  twin.set(value.subarray(sport + 2, sport + 4), sport);
  twin.set(value.subarray(sport, sport + 2), sport + 2);
  twin[form.protocol] = key[form.protocol] ?? 0;
  return twin;
};

/** Keys of all halves in the slice that belong to one of `members` and speak one of `protocols`. */
export const keysOfMembers = (
  form: FlowShape,
  slice: Slice,
  members: ReadonlySet<number>,
  protocols: readonly number[],
): { client: Uint8Array[]; member: Uint8Array[] } => {
  const values = viewOf(slice.values);
  const found = { client: [] as Uint8Array[], member: [] as Uint8Array[] };
  for (let index = 0; index < slice.count; index++) {
    const at = index * form.valueSize;
    if (!members.has(values.getUint32(at + form.member, true))) continue;
    const key = slice.keys.slice(index * form.keySize, (index + 1) * form.keySize);
    if (!protocols.includes(key[form.protocol] ?? 0)) continue;
    const isClient = (values.getUint32(at + form.state, true) & FLOW_FROM_CLIENT) !== 0;
    found[isClient ? 'client' : 'member'].push(key);
  }
  return found;
};
