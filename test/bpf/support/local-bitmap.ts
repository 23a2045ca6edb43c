// SPDX-License-Identifier: Apache-2.0
// control.local_bitmap as vip_bit() of the datapath reads it; written here anew, so that the tables also judge
// the agent's idea of it.
import { addressBytes } from '../../../agent/core/plan/address-bytes.js';

const bitOf = (address: string): number => {
  const bytes = Buffer.from(addressBytes(address));
  let folded = 0;
  for (let at = 0; at < 16; at += 4) folded ^= bytes.readUInt32LE(at);
  return Math.imul(folded, 0x9e3779b1) >>> 22;
};

/** 1024 bits, those of the addresses set. */
export const localBitmap = (addresses: readonly string[]): Buffer => {
  const words = Buffer.alloc(128);
  for (const bit of addresses.map(bitOf)) {
    const at = (bit >> 6) * 8;
    words.writeBigUInt64LE(words.readBigUInt64LE(at) | (1n << BigInt(bit & 63)), at);
  }
  return words;
};
