// SPDX-License-Identifier: Apache-2.0
// Reads a frame back and judges its checksums, so that a table can say what a packet became.
import { ipText, macText } from './address.js';
import { crc32c, internetChecksum } from './checksum.js';
import { PROTOCOLS } from './packet.js';

export interface ReadPacket {
  readonly ethernet: { source: string; destination: string; etherType: number; vlan: number[] };
  /** Addresses as `ipText` gives them; null when the frame carries no IP. */
  readonly ip: {
    source: string;
    destination: string;
    ttl: number;
    protocol: number;
    id: number;
    fragment: { offset: number; more: boolean } | null;
    checksumRight: boolean;
    length: number;
  } | null;
  /** Null for later fragments and for protocols without ports other than ICMP. */
  readonly transport: {
    source: number;
    destination: number;
    /** TCP only, as its header's byte. */
    flags: number;
    type: number;
    code: number;
    checksum: number;
    /** True also for UDP over IPv4 without a checksum; meaningless for first fragments. */
    checksumRight: boolean;
    header: Buffer;
    payload: Buffer;
  } | null;
  /** The IP packet's bytes. */
  readonly bytes: Buffer;
}

/** Throws RangeError on a frame too short for what its headers promise. */
export const readPacket = (frame: Uint8Array): ReadPacket => {
  const bytes = Buffer.from(frame);
  const vlan: number[] = [];
  let at = 12;
  while (bytes.readUInt16BE(at) === 0x8100 || bytes.readUInt16BE(at) === 0x88a8) {
    vlan.push(bytes.readUInt16BE(at + 2));
    at += 4;
  }
  const etherType = bytes.readUInt16BE(at);
  const ethernet = {
    destination: macText(bytes.subarray(0, 6)),
    source: macText(bytes.subarray(6, 12)),
    etherType,
    vlan,
  };
  const packet = bytes.subarray(at + 2);
  if (etherType !== 0x0800 && etherType !== 0x86dd) {
    return { ethernet, ip: null, transport: null, bytes: packet };
  }
  return { ethernet, ...readIpPacket(packet) };
};

/** The same for bytes that begin with the IP header, for example the quote in an ICMP error. */
export const readIpPacket = (packet: Buffer): Omit<ReadPacket, 'ethernet'> => {
  const read = packet.readUInt8(0) >> 4 === 4 ? readIpv4(packet) : readIpv6(packet);
  const later = read.ip.fragment !== null && read.ip.fragment.offset > 0;
  const transport = later ? null : readTransport(read.ip.protocol, read.body, read.addresses);
  return { ip: read.ip, transport, bytes: packet };
};

const readIpv4 = (packet: Buffer) => {
  const length = packet.readUInt16BE(2);
  const header = packet.subarray(0, (packet.readUInt8(0) & 15) * 4);
  const bits = packet.readUInt16BE(6);
  const fragment = { offset: (bits & 0x1fff) * 8, more: (bits & 0x2000) !== 0 };
  const ip = {
    source: ipText(packet.subarray(12, 16)),
    destination: ipText(packet.subarray(16, 20)),
    ttl: packet.readUInt8(8),
    protocol: packet.readUInt8(9),
    id: packet.readUInt16BE(4),
    fragment: fragment.offset > 0 || fragment.more ? fragment : null,
    checksumRight: internetChecksum(header) === 0,
    length,
  };
  return { ip, body: packet.subarray(header.length, length), addresses: packet.subarray(12, 20) };
};

const EXTENSIONS = new Set([0, 43, 60]);

const readIpv6 = (packet: Buffer) => {
  const length = 40 + packet.readUInt16BE(4);
  let protocol = packet.readUInt8(6);
  let at = 40;
  let id = 0;
  let fragment: { offset: number; more: boolean } | null = null;
  while (EXTENSIONS.has(protocol) || protocol === PROTOCOLS.fragment) {
    const next = packet.readUInt8(at);
    if (protocol === PROTOCOLS.fragment) {
      const bits = packet.readUInt16BE(at + 2);
      fragment = { offset: bits & 0xfff8, more: (bits & 1) !== 0 };
      id = packet.readUInt32BE(at + 4);
      at += 8;
    } else at += (packet.readUInt8(at + 1) + 1) * 8;
    protocol = next;
    if (fragment && fragment.offset > 0) break;
  }
  const ip = {
    source: ipText(packet.subarray(8, 24)),
    destination: ipText(packet.subarray(24, 40)),
    ttl: packet.readUInt8(7),
    protocol,
    id,
    fragment,
    checksumRight: true,
    length,
  };
  return { ip, body: packet.subarray(at, length), addresses: packet.subarray(8, 40) };
};

const readTransport = (
  protocol: number,
  body: Buffer,
  addresses: Buffer,
): ReadPacket['transport'] => {
  const pseudo = Buffer.concat([
    addresses,
    Buffer.from([0, 0, body.length >> 8, body.length & 255, 0, 0, 0, protocol]),
  ]);
  const sumRight = internetChecksum(pseudo, body) === 0;
  const plain = { flags: 0, type: 0, code: 0 };
  const ports = () => ({ source: body.readUInt16BE(0), destination: body.readUInt16BE(2) });
  const parts = (length: number) => ({
    header: body.subarray(0, length),
    payload: body.subarray(length),
  });
  switch (protocol) {
    case PROTOCOLS.tcp:
      if (body.length < 20) return null;
      return {
        ...ports(),
        ...plain,
        flags: body.readUInt8(13),
        checksum: body.readUInt16BE(16),
        checksumRight: sumRight,
        ...parts((body.readUInt8(12) >> 4) * 4),
      };
    case PROTOCOLS.udp: {
      const checksum = body.readUInt16BE(6);
      const none = checksum === 0 && addresses.length === 8;
      return { ...ports(), ...plain, checksum, checksumRight: none || sumRight, ...parts(8) };
    }
    case PROTOCOLS.icmp:
    case PROTOCOLS.icmp6:
      return {
        source: 0,
        destination: 0,
        flags: 0,
        type: body.readUInt8(0),
        code: body.readUInt8(1),
        checksum: body.readUInt16BE(2),
        checksumRight: protocol === PROTOCOLS.icmp ? internetChecksum(body) === 0 : sumRight,
        ...parts(8),
      };
    case PROTOCOLS.sctp: {
      const zeroed = Buffer.concat([body.subarray(0, 8), Buffer.alloc(4), body.subarray(12)]);
      const checksum = body.readUInt32LE(8);
      return {
        ...ports(),
        ...plain,
        checksum,
        checksumRight: checksum === crc32c(zeroed),
        ...parts(12),
      };
    }
    default:
      return null;
  }
};
