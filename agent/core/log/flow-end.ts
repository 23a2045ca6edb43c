// SPDX-License-Identifier: Apache-2.0
// A packed record of `log_events` -> the flow that its line tells of.
import { addressText } from '../plan/address-bytes.js';
import { constants, enums, structs } from '../plan/layout.gen.js';
import { backendName } from '../model/ids.js';
import type { NumberedListener, NumberedMember, Numbers } from '../plan/numbers.js';
import type { LoggedEnd, LoggedFlow } from './logged-flow.js';
import { terminationOf } from './termination.js';

/** Who the numbers of a record stand for. */
export interface LogNames {
  readonly listeners: ReadonlyMap<number, NumberedListener>;
  readonly members: ReadonlyMap<number, NumberedMember>;
  /** `<pool>:<listener>`, by the pool's number. */
  readonly backends: ReadonlyMap<number, string>;
}

export const logNames = (numbers: Numbers): LogNames => ({
  listeners: new Map(Object.values(numbers.listeners).map((one) => [one.number, one])),
  members: new Map(Object.values(numbers.members).map((one) => [one.number, one])),
  backends: new Map(
    Object.entries(numbers.pools).map(([key, { number }]) => [number, key.replace(/\/\d$/, '')]),
  ),
});

export interface LogClock {
  readonly hz: number;
  /** CLOCK_MONOTONIC in nanoseconds -> milliseconds since 1970. */
  readonly wallMs: (monotonicNs: number) => number;
}

interface Place {
  readonly offset: number;
}

const at = structs.flow_event.fields;
const RETRIES_BITS = 24;
const TCP = 6;

const addressAt = (record: Uint8Array, { offset }: Place): string =>
  addressText(record.subarray(offset, offset + 16));

/** Null when nobody knows the listener any more. */
export const describeEnd = (
  record: Uint8Array,
  names: LogNames,
  { hz, wallMs }: LogClock,
): { readonly flow: LoggedFlow; readonly listener: NumberedListener } | null => {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  const u32 = ({ offset }: Place): number => view.getUint32(offset, true);
  const u64 = ({ offset }: Place): number => Number(view.getBigUint64(offset, true));
  const endAt = (address: Place, port: Place): LoggedEnd => ({
    address: addressAt(record, address),
    port: view.getUint16(port.offset),
  });
  const member = names.members.get(u32(at.member));
  const listener = names.listeners.get(u32(at.listener));
  if (listener === undefined) return null;
  const end = view.getUint8(at.end.offset);
  const state = u32(at.state);
  const isTcp = view.getUint8(at.protocol.offset) === TCP;
  const isChosen = end !== enums.flow_end.FLOW_END_NO_MEMBER;
  const milliseconds = (jiffies: number): number => (jiffies * 1000) / hz;
  const ageMs = milliseconds((u32(at.jiffies) - u32(at.created)) >>> 0);
  // Nobody closes a datagram flow: it lasted until its last packet, not until it was forgotten.
  const silentMs = isTcp ? 0 : milliseconds(u32(at.idle_stamps) * 2 ** constants.STAMP_SHIFT);
  const backend =
    member === undefined
      ? names.backends.get(u32(at.pool))
      : backendName(member.poolId, member.listenerId);
  return {
    listener,
    flow: {
      listenerId: listener.listenerId,
      backend: backend ?? listener.listenerId,
      memberId: isChosen ? (member?.memberId ?? null) : null,
      client: endAt(at.client, at.client_port),
      vip: endAt(at.vip, at.vip_port),
      source: isChosen ? endAt(at.snat, at.snat_port) : null,
      member: isChosen ? endAt(at.member_address, at.member_port) : null,
      acceptedMs: wallMs(u64(at.time_ns)) - ageMs,
      durationMs: Math.round(Math.max(0, ageMs - silentMs)),
      bytesFromClient: u64(at.rx_bytes),
      bytesToClient: u64(at.tx_bytes),
      retries: state >>> RETRIES_BITS,
      isEstablished: isChosen && end !== enums.flow_end.FLOW_END_REFUSED,
      termination: terminationOf({ end, state, isTcp, idleSide: listener.log?.idleSide ?? 'c' }),
    },
  };
};
