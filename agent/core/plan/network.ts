// SPDX-License-Identifier: Apache-2.0
// Addresses of the interfaces -> SNAT sources, the VIP's interface, the bitmap of what is ours.
import type { DatapathInterface } from '../model/dataplane.js';
import type { IpAddress } from '../model/load-balancer.js';
import { addressBytes, type Family, familyOf, maskBytes } from './address-bytes.js';
import { constants } from './layout.gen.js';

type InterfaceAddress = DatapathInterface['addresses'][number];

const isLinkLocal = (address: string): boolean => /^fe[89ab]/i.test(address);
const isHost = ({ address, prefix }: InterfaceAddress): boolean =>
  prefix === (familyOf(address) === 4 ? 32 : 128);

/**
 * Source of packets to members behind this interface: its first address that is no VIP, rather one with a subnet than
 * a host address, never IPv6 link-local; the VIP itself when there is nothing else. Null: none of this family.
 */
export const snatAddress = (
  { addresses }: DatapathInterface,
  family: Family,
  vips: ReadonlySet<string>,
): IpAddress | null => {
  const candidates = addresses.filter(
    ({ address }) => familyOf(address) === family && !isLinkLocal(address),
  );
  const own = candidates.filter(({ address }) => !vips.has(address));
  const best = own.find((address) => !isHost(address)) ?? own[0] ?? candidates[0];
  return best?.address ?? null;
};

const mappedPrefix = ({ address, prefix }: InterfaceAddress): number =>
  familyOf(address) === 4 ? prefix + 96 : prefix;

const contains = (subnet: InterfaceAddress, bytes: Uint8Array): boolean => {
  const bits = mappedPrefix(subnet);
  const network = maskBytes(addressBytes(subnet.address), bits);
  return maskBytes(bytes, bits).every((byte, index) => byte === network[index]);
};

/** Interface that holds the VIP, or the narrowest subnet around it; 0 if there is none. */
export const vipInterface = (vip: string, interfaces: readonly DatapathInterface[]): number => {
  const bytes = addressBytes(vip);
  let best = { ifindex: 0, bits: -1 };
  for (const { ifindex, addresses } of interfaces)
    for (const address of addresses) {
      const bits = address.address === vip ? 129 : mappedPrefix(address);
      if (bits > best.bits && contains(address, bytes)) best = { ifindex, bits };
    }
  return best.ifindex;
};

/** Bit of an address in `control.local_bitmap`, as vip_bit() of the datapath computes it. */
export const localBit = (address: string): number => {
  const bytes = addressBytes(address);
  const view = new DataView(bytes.buffer);
  let hash = 0;
  for (let word = 0; word < 4; word++) hash ^= view.getUint32(word * 4, true);
  return Math.imul(hash, 0x9e3779b1) >>> 22;
};

/** `control.local_bitmap`: words of 64 bits in host (little-endian) order, so bit n is in byte n / 8. */
export const localBitmap = (addresses: Iterable<string>): Uint8Array => {
  const bitmap = new Uint8Array(constants.VIP_BITMAP_WORDS * 8);
  for (const address of addresses) {
    const bit = localBit(address);
    bitmap[bit >> 3] = (bitmap[bit >> 3] ?? 0) | (1 << (bit & 7));
  }
  return bitmap;
};
