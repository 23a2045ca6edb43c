// SPDX-License-Identifier: Apache-2.0
// Packed flows and events -> records with ids and texts.
import type { FlowEvent, FlowRecord } from '../model/dataplane.js';
import { endpointText, type Family } from './address-bytes.js';
import { stampOf, stampsBetween, stampsToSeconds } from './clock.js';
import { type StructValues, unpack } from './encode.js';
import { enums, structs } from './layout.gen.js';
import type { NumberedMember, Numbers } from './numbers.js';

/** Who a member number stands for. */
export type FlowNames = ReadonlyMap<number, NumberedMember>;

export const flowNames = (numbers: Numbers): FlowNames =>
  new Map(Object.values(numbers.members).map((member) => [member.number, member]));

export interface PackedFlow {
  readonly family: Family;
  /** The client half, and its twin if that was found; of a half-open flow the member half alone. */
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly twin: Uint8Array | null;
  readonly isHalfOpen: boolean;
}
export interface Now {
  readonly jiffies: bigint;
  readonly hz: number;
}

const protocolName = (number: number): FlowRecord['protocol'] =>
  number === 17 ? 'udp' : number === 132 ? 'sctp' : 'tcp';

const widen = (address: Uint8Array): Uint8Array =>
  address.length === 16
    ? address
    : Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...address]);

type Ends = 'client' | 'vip' | 'snat' | 'member';
type Key = StructValues<typeof structs.flow_key6>;
type Value = Pick<
  StructValues<typeof structs.flow6>,
  | 'new_saddr'
  | 'new_daddr'
  | 'new_sport'
  | 'new_dport'
  | 'member'
  | 'stamp'
  | 'state'
  | 'created'
  | 'bytes'
>;

const unpackKey = (family: Family, bytes: Uint8Array): Key => {
  if (family === 6) return unpack(structs.flow_key6, bytes);
  // A lone u32 is a scalar to the layout: take the bytes as they lie.
  const key = unpack(structs.flow_key4, bytes);
  return { ...key, saddr: bytes.subarray(0, 4), daddr: bytes.subarray(4, 8) };
};

const unpackValue = (family: Family, bytes: Uint8Array): Value => {
  if (family === 6) return unpack(structs.flow6, bytes);
  const value = unpack(structs.flow4, bytes);
  return { ...value, new_saddr: bytes.subarray(0, 4), new_daddr: bytes.subarray(4, 8) };
};

const stateName = (state: number, isHalfOpen: boolean): FlowRecord['state'] => {
  const { FLOW_CLOSED, FLOW_FIN, FLOW_TWIN_FIN } = enums.flow_state;
  if (isHalfOpen) return 'half-open';
  if ((state & FLOW_CLOSED) !== 0) return 'closed';
  return (state & (FLOW_FIN | FLOW_TWIN_FIN)) !== 0 ? 'closing' : 'open';
};

const secondsSince = (created: number, { jiffies, hz }: Now): number =>
  ((Number(jiffies & 0xffffffffn) - created) >>> 0) / hz;

const listenerIdOf = (member: NumberedMember | undefined): string | null =>
  member === undefined || member.listenerId === '' ? null : member.listenerId;
const memberIdOf = (member: NumberedMember | undefined): string | null =>
  member === undefined || member.memberId === '' ? null : member.memberId;

/** The four ends, as the client half knows them or, read backwards, as the member half does. */
const endsOf = (key: Key, value: Value, isMemberHalf: boolean): Record<Ends, string> => {
  const called = endpointText(widen(key.daddr), key.dport);
  const caller = endpointText(widen(key.saddr), key.sport);
  const source = endpointText(widen(value.new_saddr), value.new_sport);
  const target = endpointText(widen(value.new_daddr), value.new_dport);
  return isMemberHalf
    ? { client: target, vip: source, snat: called, member: caller }
    : { client: caller, vip: called, snat: source, member: target };
};

export const describeFlow = (flow: PackedFlow, names: FlowNames, now: Now): FlowRecord => {
  const key = unpackKey(flow.family, flow.key);
  const value = unpackValue(flow.family, flow.value);
  const twin = flow.twin === null ? null : unpackValue(flow.family, flow.twin);
  const member = names.get(value.member);
  const stamp = stampOf(now.jiffies);
  const idle = Math.min(
    ...[value, ...(twin === null ? [] : [twin])].map((half) => stampsBetween(half.stamp, stamp)),
  );
  return {
    protocol: protocolName(key.protocol),
    ...endsOf(key, value, flow.isHalfOpen),
    listenerId: listenerIdOf(member),
    memberId: memberIdOf(member),
    state: stateName(value.state, flow.isHalfOpen),
    ageSeconds: secondsSince(value.created, now),
    idleSeconds: stampsToSeconds(Math.max(0, idle), now),
    rxBytes: Number(value.bytes),
    txBytes: Number(twin?.bytes ?? 0n),
  };
};

const EVENT_TYPES: Readonly<Record<number, FlowEvent['type']>> = {
  [enums.flow_event_type.FLOW_EVENT_OPEN]: 'open',
  [enums.flow_event_type.FLOW_EVENT_CLOSE]: 'close',
  [enums.flow_event_type.FLOW_EVENT_EXPIRE]: 'expire',
};

const RESETS: ReadonlySet<number> = new Set([
  enums.flow_end.FLOW_END_CLIENT_RST,
  enums.flow_end.FLOW_END_MEMBER_RST,
]);

export const describeEvent = (bytes: Uint8Array, names: FlowNames, hz: number): FlowEvent => {
  const event = unpack(structs.flow_event, bytes);
  const member = names.get(event.member);
  return {
    type: EVENT_TYPES[event.type] ?? 'close',
    reset: RESETS.has(event.end),
    protocol: protocolName(event.protocol),
    client: endpointText(event.client, event.client_port),
    vip: endpointText(event.vip, event.vip_port),
    snat: endpointText(event.snat, event.snat_port),
    member: endpointText(event.member_address, event.member_port),
    listenerId: listenerIdOf(member),
    memberId: memberIdOf(member),
    ageSeconds: secondsSince(event.created, { jiffies: BigInt(event.jiffies), hz }),
    rxBytes: Number(event.rx_bytes),
    txBytes: Number(event.tx_bytes),
  };
};
