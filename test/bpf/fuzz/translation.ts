// SPDX-License-Identifier: Apache-2.0
// Compares what went in with what came out: only what a NAT changes may differ, and sums stay right, or wrong.
import assert from 'node:assert/strict';
import { isIpSumRight, isSumRight, TCP, UDP, viewOf, type View } from './view.js';

const SYN = 2;
const ICMP = [1, 58];

/** From the IP header on: offset and number of bytes that may change. */
type Range = readonly [at: number, bytes: number];

const addresses = (family: 4 | 6): Range => (family === 4 ? [12, 8] : [8, 32]);

const sumOf = (protocol: number, l4: number): Range[] =>
  protocol === TCP ? [[l4 + 16, 2]] : protocol === UDP ? [[l4 + 6, 2]] : [];

/** The MSS of a SYN, which may be lowered: the first option of kind 2 and length 4, wherever it stands. */
const mssOf = ({ frame, l3, l4, protocol, flags }: View): Range[] => {
  if (protocol !== TCP || !(flags & SYN)) return [];
  const end = l4 + (frame.readUInt8(l4 + 12) >> 4) * 4;
  for (let at = l4 + 20; at + 4 <= end;) {
    const kind = frame.readUInt8(at);
    if (kind === 0) return [];
    if (kind === 2) return frame.readUInt8(at + 1) === 4 ? [[at + 2 - l3, 2]] : [];
    at += kind === 1 ? 1 : Math.max(2, frame.readUInt8(at + 1));
  }
  return [];
};

/** Of an ICMP error: its own sum, and of the quoted packet what its sender's NAT changed. */
const quoteOf = ({ frame, l3, l4, end, family }: View): Range[] => {
  const inner = l4 + 8 - l3;
  const own: Range = [l4 + 2 - l3, 2];
  if (end - l3 < inner + (family === 4 ? 20 : 40)) return [own];
  const [at, bytes] = addresses(family);
  let protocol = frame.readUInt8(l3 + inner + (family === 4 ? 9 : 6));
  let ports = inner + (family === 4 ? (frame.readUInt8(l3 + inner) & 15) * 4 : 40);
  if (family === 6 && protocol === 44 && end - l3 >= ports + 8) {
    protocol = frame.readUInt8(l3 + ports);
    ports += 8;
  }
  const ip: Range[] = family === 4 ? [[inner + 10, 2]] : [];
  return [own, [inner + at, bytes], ...ip, [ports, 4], ...sumOf(protocol, ports)];
};

const mayChange = (view: View): Range[] => {
  const { family, l3, l4, protocol, fragment } = view;
  const ip: Range[] =
    family === 4
      ? [
          [8, 1],
          [10, 2],
        ]
      : [[7, 1]];
  const outer = [...ip, addresses(family)];
  if (fragment === 'later') return outer;
  if (ICMP.includes(protocol)) return [...outer, ...quoteOf(view)];
  return [...outer, [l4 - l3, 4], ...sumOf(protocol, l4 - l3), ...mssOf(view)];
};

const masked = ({ frame, l3, end }: View, ranges: readonly Range[]): string => {
  const packet = Buffer.from(frame.subarray(l3));
  for (const [at, bytes] of ranges) packet.fill(0, at, Math.min(at + bytes, end - l3));
  return packet.toString('hex');
};

/** Throws unless `out` is `sent` after a NAT. Returns what came out. */
export const assertTranslated = (sent: View, out: Buffer): View => {
  const view = viewOf(out);
  assert.ok(view, 'what came out is no whole packet');
  const ranges = mayChange(sent);
  assert.equal(masked(view, ranges), masked(sent, ranges), 'more has changed than a NAT may');
  assert.equal(view.ttl, sent.ttl - 1, 'TTL');
  assert.equal(isIpSumRight(view), isIpSumRight(sent), 'IP checksum');
  assert.equal(isSumRight(view), isSumRight(sent), 'transport checksum');
  return view;
};
