// SPDX-License-Identifier: Apache-2.0
// The checksums of RFC 1071 and RFC 9260 appendix A, written plainly: tests judge the datapath by them.

/** One's complement of the one's complement sum over all parts, each padded to an even length. */
export const internetChecksum = (...parts: readonly Uint8Array[]): number => {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 2) sum += ((part[i] ?? 0) << 8) | (part[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
};

/** CRC32c over the bytes as they are; written little-endian into SCTP's checksum field. */
export const crc32c = (bytes: Uint8Array): number => {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
};
