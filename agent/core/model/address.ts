// SPDX-License-Identifier: Apache-2.0
// Addresses: any spelling in, one canonical text out, and the arithmetic of prefixes.
import { IPv4, IPv6 } from 'ip-num';
import type { Endpoint, IpAddress } from './load-balancer.js';

/** A prefix as written: `address` keeps its host bits. */
export interface Cidr {
  readonly address: IpAddress;
  readonly prefix: number;
}

const v4Shape = /^\d{1,3}(\.\d{1,3}){3}$/;
const v6Shape = /^[0-9a-fA-F:]{2,39}$|^[0-9a-fA-F:]{2,30}:\d{1,3}(\.\d{1,3}){3}$/;

/**
 * Canonical text of an address: dotted quad, or RFC 5952. Null for everything else: zones, brackets,
 * leading zeros in a quad, names.
 */
export const parseIpAddress = (text: string): IpAddress | null => {
  try {
    if (v4Shape.test(text)) return new IPv4(text).toString() as IpAddress;
    if (!v6Shape.test(text)) return null;
    return formatIpv6(new IPv6(text).value);
  } catch {
    return null; // ip-num throws where octets, groups or colons do not add up
  }
};

/** 4 for a dotted quad, 6 for the rest. An IPv4-mapped IPv6 address is IPv6. */
export const familyOf = (address: IpAddress): 4 | 6 => (address.includes(':') ? 6 : 4);

/** 4 or 16 bytes in network order. */
export const addressBytes = (address: IpAddress): Uint8Array => {
  const size = familyOf(address) === 4 ? 4 : 16;
  const value = addressValue(address);
  return Uint8Array.from({ length: size }, (_, i) =>
    Number((value >> BigInt(8 * (size - 1 - i))) & 0xffn),
  );
};

/** The inverse of `addressBytes`. Throws RangeError unless there are 4 or 16 bytes. */
export const addressFromBytes = (bytes: Uint8Array): IpAddress => {
  if (bytes.length === 4) return bytes.join('.') as IpAddress;
  if (bytes.length !== 16)
    throw new RangeError(`an address has 4 or 16 bytes, not ${bytes.length}`);
  return formatIpv6(bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n));
};

/** `10.0.0.0/8`; a bare address is a prefix of full length. Null where it is neither. */
export const parseCidr = (text: string): Cidr | null => {
  const [head = '', tail, ...rest] = text.split('/');
  const address = parseIpAddress(head);
  if (address === null || rest.length > 0) return null;
  const bits = familyOf(address) === 4 ? 32 : 128;
  if (tail === undefined) return { address, prefix: bits };
  const prefix = /^\d{1,3}$/.test(tail) ? Number(tail) : Number.NaN;
  return prefix <= bits ? { address, prefix } : null;
};

/** False across families: 0.0.0.0/0 holds no IPv6 address. */
export const cidrContains = (cidr: Cidr, address: IpAddress): boolean => {
  if (familyOf(cidr.address) !== familyOf(address)) return false;
  const shift = BigInt((familyOf(address) === 4 ? 32 : 128) - cidr.prefix);
  return addressValue(cidr.address) >> shift === addressValue(address) >> shift;
};

/** `10.0.0.1:80`, `[2001:db8::1]:80`: for people and for HAProxy, which reads both. */
export const formatEndpoint = ({ address, port }: Endpoint): string =>
  familyOf(address) === 4 ? `${address}:${port}` : `[${address}]:${port}`;

const addressValue = (address: IpAddress): bigint =>
  familyOf(address) === 4 ? new IPv4(address).value : new IPv6(address).value;

const formatIpv6 = (value: bigint): IpAddress => {
  // RFC 5952 section 5: the mapped prefix is written with a quad
  if (value >> 32n === 0xffffn) {
    return `::ffff:${new IPv4(value & 0xffffffffn).toString()}` as IpAddress;
  }
  const groups = Array.from({ length: 8 }, (_, i) =>
    Number((value >> BigInt(112 - 16 * i)) & 0xffffn),
  );
  const { start, length } = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (length < 2) return hex.join(':') as IpAddress; // one zero group is not shortened (4.2.2)
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}` as IpAddress;
};

const longestZeroRun = (groups: readonly number[]): { start: number; length: number } => {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (const [i, group] of groups.entries()) {
    if (group !== 0) start = i + 1;
    else if (i + 1 - start > best.length) best = { start, length: i + 1 - start };
  }
  return best;
};
