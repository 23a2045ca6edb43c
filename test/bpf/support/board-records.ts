// SPDX-License-Identifier: Apache-2.0
// The description's parts as the maps' records.
import { addressBytes } from '../../../agent/core/plan/address-bytes.js';
import { pack } from '../../../agent/core/plan/encode.js';
import { enums, structs } from '../../../agent/core/plan/layout.gen.js';
import type { ListenerSpec, MemberSpec } from './board-spec.js';

const { MEMBER_PRESENT, MEMBER_PERSIST } = enums.member_flag;
const { LISTENER_LIVE, LISTENER_ACL } = enums.listener_flag;
const PROTOCOL = { tcp: 6, udp: 17, sctp: 132 } as const;

export const memberRecord = (member: MemberSpec, pool: number): Uint8Array =>
  pack(structs.member, {
    address: addressBytes(member.address),
    port: member.port ?? 8080,
    flags: member.flags ?? MEMBER_PRESENT | MEMBER_PERSIST,
    connection_limit: member.limit ?? 0,
    listener: pool,
    pool,
  });

export const poolRecord = ({ persistence }: ListenerSpec): Uint8Array =>
  pack(structs.pool, {
    flags: persistence ? enums.pool_flag.POOL_PERSIST : 0,
    persist_stamps: persistence?.stamps ?? 0,
    persist_prefix4: persistence?.prefix4 ?? 32,
    persist_prefix6: persistence?.prefix6 ?? 128,
  });

export const listenerRecord = (spec: ListenerSpec, pool: number): Uint8Array =>
  pack(structs.listener, {
    flags: (spec.flags ?? LISTENER_LIVE) | (spec.allowed ? LISTENER_ACL : 0),
    pool,
    connection_limit: spec.connectionLimit ?? 0,
  });

export const serviceKey = (spec: ListenerSpec, vip: string): Uint8Array =>
  pack(structs.service_key, {
    vip: addressBytes(vip),
    port: spec.port ?? 80,
    protocol: PROTOCOL[spec.protocol ?? 'tcp'],
  });

/** `prefix` such as 198.51.100.0/24. */
export const allowedKey = (prefix: string, listener: number): Uint8Array => {
  const [source = '', bits = ''] = prefix.split('/');
  const length = Number(bits) + (source.includes(':') ? 0 : 96);
  return pack(structs.allowed_key, {
    prefixlen: 32 + length,
    listener,
    source: addressBytes(source),
  });
};
