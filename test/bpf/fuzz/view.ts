// SPDX-License-Identifier: Apache-2.0
// What a hostile frame is, read without trust and without the datapath's own code: null where it cannot be a
// whole TCP, UDP, SCTP or ICMP packet behind at most one VLAN tag.
import { crc32c, internetChecksum } from '../../support/checksum.js';

export interface View {
  readonly frame: Buffer;
  readonly family: 4 | 6;
  /** Offsets in the frame: IP header, transport header, end of the IP packet by its own length. */
  readonly l3: number;
  readonly l4: number;
  readonly end: number;
  readonly tags: number;
  readonly protocol: number;
  readonly fragment: 'none' | 'first' | 'later';
  readonly ttl: number;
  /** Addresses in hexadecimal. */
  readonly source: string;
  readonly destination: string;
  /** 0 in later fragments and in ICMP. */
  readonly sport: number;
  readonly dport: number;
  /** TCP's, else 0. */
  readonly flags: number;
}

export const TCP = 6;
export const UDP = 17;
export const SCTP = 132;
const ICMP = 1;
const ICMP6 = 58;
const FRAGMENT = 44;
const AH = 51;
const EXTENSIONS = [0, 43, 60, AH];

interface Network extends Omit<View, 'frame' | 'l3' | 'tags' | 'sport' | 'dport' | 'flags'> {
  readonly l3: number;
}

export const viewOf = (frame: Buffer): View | null => {
  if (frame.length < 14) return null;
  const tags = frame.readUInt16BE(12) === 0x8100 && frame.length >= 18 ? 1 : 0;
  const l3 = 14 + tags * 4;
  const type = frame.readUInt16BE(l3 - 2);
  const network = type === 0x0800 ? ipv4(frame, l3) : type === 0x86dd ? ipv6(frame, l3) : null;
  if (!network || network.end > frame.length || network.l4 > network.end) return null;
  const ports = transport(frame, network);
  return ports && { ...network, ...ports, frame, tags };
};

/** Whether a frame's IP header sums up; true for IPv6, which has no sum. */
export const isIpSumRight = ({ frame, family, l3 }: View): boolean =>
  family === 6 || internetChecksum(frame.subarray(l3, l3 + (frame.readUInt8(l3) & 15) * 4)) === 0;

/** Whether the transport's checksum holds, or is absent where it may be. Null for fragments: they cannot say. */
export const isSumRight = (view: View): boolean | null => {
  const { frame, l4, end, protocol, fragment } = view;
  if (fragment !== 'none') return null;
  const body = frame.subarray(l4, end);
  if (protocol === SCTP) {
    const zeroed = Buffer.from(body);
    zeroed.writeUInt32LE(0, 8);
    return body.readUInt32LE(8) === crc32c(zeroed);
  }
  if (protocol === ICMP) return internetChecksum(body) === 0;
  if (protocol === UDP && body.readUInt16BE(6) === 0) return view.family === 4;
  const pseudo = Buffer.alloc(4);
  pseudo.writeUInt16BE(body.length, 0);
  pseudo.writeUInt16BE(protocol, 2);
  return internetChecksum(addressesOf(view), pseudo, body) === 0;
};

const addressesOf = ({ frame, family, l3 }: View): Buffer =>
  family === 4 ? frame.subarray(l3 + 12, l3 + 20) : frame.subarray(l3 + 8, l3 + 40);

const ipv4 = (frame: Buffer, l3: number): Network | null => {
  if (frame.length < l3 + 20 || frame.readUInt8(l3) >> 4 !== 4) return null;
  const words = frame.readUInt8(l3) & 15;
  if (words < 5) return null;
  const bits = frame.readUInt16BE(l3 + 6);
  return {
    family: 4,
    l3,
    l4: l3 + words * 4,
    end: l3 + frame.readUInt16BE(l3 + 2),
    protocol: frame.readUInt8(l3 + 9),
    fragment: bits & 0x1fff ? 'later' : bits & 0x2000 ? 'first' : 'none',
    ttl: frame.readUInt8(l3 + 8),
    source: frame.toString('hex', l3 + 12, l3 + 16),
    destination: frame.toString('hex', l3 + 16, l3 + 20),
  };
};

const ipv6 = (frame: Buffer, l3: number): Network | null => {
  if (frame.length < l3 + 40 || frame.readUInt8(l3) >> 4 !== 6) return null;
  let protocol = frame.readUInt8(l3 + 6);
  let l4 = l3 + 40;
  let fragment: View['fragment'] = 'none';
  while (fragment !== 'later' && (EXTENSIONS.includes(protocol) || protocol === FRAGMENT)) {
    if (frame.length < l4 + 8) return null;
    const next = frame.readUInt8(l4);
    if (protocol === FRAGMENT) {
      const bits = frame.readUInt16BE(l4 + 2);
      fragment = bits & 0xfff8 ? 'later' : bits & 1 ? 'first' : 'none';
      l4 += 8;
    } else
      l4 += protocol === AH ? (frame.readUInt8(l4 + 1) + 2) * 4 : (frame.readUInt8(l4 + 1) + 1) * 8;
    protocol = next;
  }
  return {
    family: 6,
    l3,
    l4,
    end: l3 + 40 + frame.readUInt16BE(l3 + 4),
    protocol,
    fragment,
    ttl: frame.readUInt8(l3 + 7),
    source: frame.toString('hex', l3 + 8, l3 + 24),
    destination: frame.toString('hex', l3 + 24, l3 + 40),
  };
};

/** Ports of a transport whose header lies whole inside the IP packet, else null. */
const transport = (
  frame: Buffer,
  { l4, end, protocol, fragment, family }: Network,
): Pick<View, 'sport' | 'dport' | 'flags'> | null => {
  const none = { sport: 0, dport: 0, flags: 0 };
  const room = end - l4;
  if (fragment === 'later') return none;
  if (protocol === (family === 4 ? ICMP : ICMP6)) return room < 8 ? null : none;
  const header = { [TCP]: 20, [UDP]: 8, [SCTP]: 12 }[protocol];
  if (header === undefined || room < header) return null;
  const ports = { sport: frame.readUInt16BE(l4), dport: frame.readUInt16BE(l4 + 2), flags: 0 };
  if (protocol !== TCP) return ports;
  const offset = (frame.readUInt8(l4 + 12) >> 4) * 4;
  return offset < 20 || offset > room ? null : { ...ports, flags: frame.readUInt8(l4 + 13) };
};
