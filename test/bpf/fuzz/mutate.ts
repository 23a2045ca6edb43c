// SPDX-License-Identifier: Apache-2.0
// Makes right packets wrong, one or two lies at a time; some keep a right IP checksum, so that the lie is believed.
import { internetChecksum } from '../../support/checksum.js';
import type { Random } from '../../support/random.js';

type Mutation = (frame: Buffer, random: Random) => Buffer;

/** Offset of the IP header, or 14 where there is none. */
const l3Of = (frame: Buffer): number =>
  frame.length >= 18 && frame.readUInt16BE(12) === 0x8100 ? 18 : 14;
const isIpv4 = (frame: Buffer): boolean => (frame[l3Of(frame)] ?? 0) >> 4 === 4;
const l4Of = (frame: Buffer): number =>
  l3Of(frame) + (isIpv4(frame) ? ((frame[l3Of(frame)] ?? 0) & 15) * 4 : 40);

/** Bytes from `at` on; what lies behind the end is left out. */
const put = (frame: Buffer, at: number, ...bytes: readonly number[]): Buffer => {
  bytes.forEach((byte, i) => {
    if (at + i < frame.length) frame[at + i] = byte & 255;
  });
  return frame;
};
const word = (value: number): [number, number] => [(value >> 8) & 255, value & 255];

/** Goes through all lengths rather than leaving them to chance. */
let cuts = 0;
const cut: Mutation = (frame) => {
  cuts += 1;
  return frame.subarray(0, 14 + (cuts % Math.max(1, frame.length - 14)));
};

const MUTATIONS: readonly Mutation[] = [
  cut,
  cut,
  // version and header length
  (frame, random) => put(frame, l3Of(frame), random.integer(0, 255)),
  (frame, random) => put(frame, l3Of(frame), 0x40 | random.integer(0, 15)),
  // lengths: total or payload, then UDP's and SCTP's own
  (frame, random) =>
    put(
      frame,
      l3Of(frame) + (isIpv4(frame) ? 2 : 4),
      ...word(
        random.pick([0, 1, 19, 20, 27, 28, 39, 40, 41, 48, 60, 0x7fff, 0xffff, frame.length]),
      ),
    ),
  (frame, random) => put(frame, l4Of(frame) + 4, ...word(random.pick([0, 7, 8, 0xffff]))),
  (frame, random) => put(frame, l4Of(frame) + 14, ...word(random.pick([0, 3, 4, 0xffff]))),
  // TCP's data offset and flags
  (frame, random) => put(frame, l4Of(frame) + 12, random.integer(0, 255), random.integer(0, 255)),
  // TTL
  (frame, random) => put(frame, l3Of(frame) + (isIpv4(frame) ? 8 : 7), random.pick([0, 1])),
  // fragment field, or the next header
  (frame, random) =>
    isIpv4(frame)
      ? put(frame, l3Of(frame) + 6, ...word(random.pick([0x2000, 1, 0x1fff, 0x3fff, 0x8000])))
      : put(frame, l3Of(frame) + 6, random.pick([0, 43, 44, 50, 51, 59, 60, 58, 135])),
  // checksums
  (frame, random) => put(frame, l3Of(frame) + 10, ...word(random.integer(0, 0xffff))),
  (frame, random) =>
    put(frame, l4Of(frame) + 16, ...word(random.pick([0, 0xffff, random.integer(0, 0xffff)]))),
  (frame, random) =>
    put(frame, l4Of(frame) + 6, ...word(random.pick([0, 0xffff, random.integer(0, 0xffff)]))),
  // ports
  (frame, random) => put(frame, l4Of(frame) + random.pick([0, 2]), 0, 0),
  // addresses
  (frame, random) =>
    put(frame, l3Of(frame) + (isIpv4(frame) ? 12 : 8), random.pick([0, 127, 224, 255])),
  // tags on tags, and other types of frame
  (frame, random) => {
    const tag = Buffer.from([
      ...word(random.pick([0x8100, 0x88a8, 0x9100])),
      ...word(random.integer(0, 0xffff)),
    ]);
    return Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)]);
  },
  (frame, random) =>
    put(frame, 12, ...word(random.pick([0x0806, 0x8847, 0x88cc, 0x0800, 0x86dd, 0x0000]))),
  // padding, and a frame that goes on behind its packet
  (frame, random) => Buffer.concat([frame, Buffer.alloc(random.integer(1, 60), 0xaa)]),
  // anything
  (frame, random) => {
    for (let flips = random.integer(1, 4); flips > 0; flips -= 1)
      put(
        frame,
        random.integer(12, Math.max(12, Math.min(frame.length - 1, 90))),
        random.integer(0, 255),
      );
    return frame;
  },
];

const withIpSum = (frame: Buffer): Buffer => {
  const l3 = l3Of(frame);
  const header = ((frame[l3] ?? 0) & 15) * 4;
  if (!isIpv4(frame) || header < 20 || frame.length < l3 + header) return frame;
  frame.writeUInt16BE(0, l3 + 10);
  frame.writeUInt16BE(internetChecksum(frame.subarray(l3, l3 + header)), l3 + 10);
  return frame;
};

/** A frame of its own, 14 bytes at least. */
export const mutate = (original: Buffer, random: Random): Buffer => {
  let frame: Buffer = Buffer.from(original);
  for (let lies = random.pick([1, 1, 1, 2, 3]); lies > 0; lies -= 1)
    frame = random.pick(MUTATIONS)(frame, random);
  return random.chance(0.5) ? withIpSum(frame) : frame;
};
