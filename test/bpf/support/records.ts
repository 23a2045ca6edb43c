// SPDX-License-Identifier: Apache-2.0
// Packed map records for the packet tables; the shapes are those of bpf/layout.h.
import { ipBytes } from '../../support/address.js';

type Kind = 'u8' | 'u16' | 'u32' | 'u64' | 'be16' | 'be32' | 'ip' | 'ip4' | 'mac' | 'bitmap';
type Value = number | bigint | string | Uint8Array;

const SIZES: Readonly<Record<Kind, number>> = {
  ...{ u8: 1, u16: 2, u32: 4, u64: 8, be16: 2, be32: 4, ip: 16, ip4: 4, mac: 6, bitmap: 128 },
};
const alignment = (kind: Kind): number =>
  ({ u8: 1, u16: 2, u32: 4, u64: 8, be16: 2, be32: 4, ip: 4, ip4: 4, mac: 1, bitmap: 8 })[kind];

/** A struct as C lays it out: members in order, naturally aligned. */
export class Struct<Field extends string> {
  readonly size: number;
  readonly #places = new Map<string, { readonly kind: Kind; readonly at: number }>();

  constructor(fields: Readonly<Record<Field, Kind>>) {
    let end = 0;
    let widest = 1;
    for (const [name, kind] of Object.entries<Kind>(fields)) {
      const at = Math.ceil(end / alignment(kind)) * alignment(kind);
      this.#places.set(name, { kind, at });
      end = at + SIZES[kind];
      widest = Math.max(widest, alignment(kind));
    }
    this.size = Math.ceil(end / widest) * widest;
  }

  /** Absent fields are zero. Network-order fields take host numbers, addresses take text. */
  pack(values: Readonly<Partial<Record<Field, Value>>>): Buffer {
    const bytes = Buffer.alloc(this.size);
    for (const [name, value] of Object.entries<Value | undefined>(values)) {
      const place = this.#places.get(name);
      if (!place) throw new Error(`no field ${name}`);
      if (value !== undefined) write(bytes, place, value);
    }
    return bytes;
  }

  /** A number field of a record that begins at `offset`; 64-bit ones lose bits above 2^53. */
  read(bytes: Uint8Array, field: Field, offset = 0): number {
    const place = this.#places.get(field);
    if (!place) throw new Error(`no field ${field}`);
    const view = Buffer.from(bytes.buffer, bytes.byteOffset + offset, this.size);
    if (place.kind === 'u64') return Number(view.readBigUInt64LE(place.at));
    if (place.kind.startsWith('be')) return view.readUIntBE(place.at, SIZES[place.kind]);
    return view.readUIntLE(place.at, SIZES[place.kind]);
  }
}

const write = (
  bytes: Buffer,
  place: { readonly kind: Kind; readonly at: number },
  value: Value,
) => {
  const { kind, at } = place;
  if (typeof value === 'string') bytes.set(kind === 'ip' ? mapped(value) : ipBytes(value), at);
  else if (typeof value === 'bigint') bytes.writeBigUInt64LE(value, at);
  else if (typeof value !== 'number') bytes.set(value, at);
  else if (kind === 'u64') bytes.writeBigUInt64LE(BigInt(value), at);
  else if (kind === 'be16' || kind === 'be32') bytes.writeUIntBE(value, at, SIZES[kind]);
  else bytes.writeUIntLE(value, at, SIZES[kind]);
};

/** 16 bytes, IPv4 as ::ffff:a.b.c.d. */
export const mapped = (address: string): Buffer =>
  ipBytes(address.includes(':') ? address : `::ffff:${address}`);

export const U32 = new Struct({ value: 'u32' });
export const CONTROL = new Struct({
  generation: 'u32',
  flags: 'u32',
  guard_limit: 'u32',
  guard_share: 'u32',
  snat_port_min: 'u16',
  snat_port_max: 'u16',
  reselect_stamps: 'u32',
  suspect_stamps: 'u32',
  closed_stamps: 'u32',
  local_bitmap: 'bitmap',
});
export const SERVICE_KEY = new Struct({ vip: 'ip', port: 'be16', protocol: 'u8', reserved: 'u8' });
export const SERVICE = new Struct({ listener: 'u32', vip_ifindex: 'u32' });
export const LISTENER = new Struct({
  flags: 'u32',
  pool: 'u32',
  connection_limit: 'u32',
  reserved: 'u32',
});
export const POOL_SLOT = new Struct({ member: 'u32', weight: 'u32' });
export const POOL = new Struct({
  flags: 'u32',
  persist_stamps: 'u32',
  persist_prefix4: 'u8',
  persist_prefix6: 'u8',
  reserved: 'u16',
});
export const MEMBER = new Struct({
  address: 'ip',
  port: 'be16',
  flags: 'u16',
  connection_limit: 'u32',
  listener: 'u32',
  pool: 'u32',
});
export const MEMBER_STATE = new Struct({
  open: 'u32',
  port_cursor: 'u32',
  suspect: 'u32',
  reserved: 'u32',
});
export const LISTENER_STATE = new Struct({ open: 'u32', reserved: 'u32' });
export const MEMBER_COUNTERS = new Struct({
  rx_packets: 'u64',
  rx_bytes: 'u64',
  tx_packets: 'u64',
  tx_bytes: 'u64',
  flows: 'u64',
  refusals: 'u64',
});
export const INTERFACE = new Struct({ snat4: 'ip', snat6: 'ip', mtu: 'u32', reserved: 'u32' });
export const ALLOWED_KEY = new Struct({ prefixlen: 'u32', listener: 'be32', source: 'ip' });
export const FLOW_KEY4 = new Struct({
  saddr: 'ip4',
  daddr: 'ip4',
  sport: 'be16',
  dport: 'be16',
  protocol: 'u8',
  reserved0: 'u8',
  reserved1: 'u16',
});

/** Where an address stands in control.local_bitmap. */
export const vipBit = (address: string): number => {
  const bytes = mapped(address);
  let folded = 0;
  for (let at = 0; at < 16; at += 4) folded ^= bytes.readUInt32LE(at);
  return Math.imul(folded, 0x9e3779b1) >>> 22;
};

export const localBitmap = (addresses: readonly string[]): Buffer => {
  const words = Buffer.alloc(128);
  for (const bit of addresses.map(vipBit)) {
    const at = (bit >> 6) * 8;
    words.writeBigUInt64LE(words.readBigUInt64LE(at) | (1n << BigInt(bit & 63)), at);
  }
  return words;
};
