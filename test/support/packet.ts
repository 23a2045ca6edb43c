// SPDX-License-Identifier: Apache-2.0
// Builds frames with right lengths and checksums: Ethernet, VLAN, IPv4, IPv6, TCP, UDP, ICMP, SCTP.
import { ipBytes, macBytes } from './address.js';
import { crc32c, internetChecksum } from './checksum.js';

export interface EthernetSpec {
  readonly source: string;
  readonly destination: string;
  /** Tags from the outside in; 802.1Q, each the whole 16-bit TCI. */
  readonly vlan?: number | readonly number[];
}

/** The family follows from the addresses. */
export interface IpSpec {
  readonly source: string;
  readonly destination: string;
  /** Or hop limit; 64 when absent. */
  readonly ttl?: number;
  readonly tos?: number;
  readonly id?: number;
  /** IPv4; true when absent. */
  readonly dontFragment?: boolean;
  /** Offset in bytes, a multiple of 8. In IPv6 it adds a fragment header. */
  readonly fragment?: { readonly offset: number; readonly more: boolean };
  /** IPv4 options, padded here to 4 bytes with EOL. */
  readonly options?: Uint8Array;
  /** IPv6 extension headers before the payload: header number and body (padded here with Pad1/PadN space). */
  readonly extensions?: readonly { readonly header: number; readonly body?: Uint8Array }[];
  /** Overrides the computed header checksum (IPv4). */
  readonly checksum?: number;
}

export type TcpFlag = 'FIN' | 'SYN' | 'RST' | 'PSH' | 'ACK' | 'URG';

export type TransportSpec =
  | {
      readonly kind: 'tcp';
      readonly source: number;
      readonly destination: number;
      readonly flags: readonly TcpFlag[];
      readonly sequence?: number;
      readonly acknowledgement?: number;
      readonly window?: number;
      /** Raw options, padded here to 4 bytes; see `mssOption`. */
      readonly options?: Uint8Array;
      readonly checksum?: number;
    }
  | {
      readonly kind: 'udp';
      readonly source: number;
      readonly destination: number;
      /** 0 means "none" in IPv4. */
      readonly checksum?: number;
    }
  | {
      /** ICMP or ICMPv6 by the family. `rest` is the second word: identifier and sequence, MTU, pointer. */
      readonly kind: 'icmp';
      readonly type: number;
      readonly code: number;
      readonly rest?: number;
      readonly checksum?: number;
    }
  | {
      readonly kind: 'sctp';
      readonly source: number;
      readonly destination: number;
      readonly tag?: number;
      readonly checksum?: number;
    }
  | { readonly kind: 'raw'; readonly protocol: number };

export interface IpPacketSpec {
  readonly ip: IpSpec;
  readonly transport: TransportSpec;
  readonly payload?: Uint8Array | string;
}

export interface PacketSpec extends IpPacketSpec {
  readonly ethernet: EthernetSpec;
}

export const PROTOCOLS = { icmp: 1, tcp: 6, udp: 17, icmp6: 58, sctp: 132, fragment: 44 } as const;

const TCP_FLAGS = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16, URG: 32 } as const;

/** A whole frame. Not padded to 60 bytes: test-run and veth take shorter ones. */
export const buildPacket = (spec: PacketSpec): Buffer =>
  buildFrame(spec.ethernet, spec.ip.source.includes(':') ? 0x86dd : 0x0800, buildIpPacket(spec));

/** A frame around ready bytes, for ARP and for malformed packets. */
export const buildFrame = (spec: EthernetSpec, etherType: number, body: Uint8Array): Buffer => {
  const tags = typeof spec.vlan === 'number' ? [spec.vlan] : (spec.vlan ?? []);
  return Buffer.concat([
    macBytes(spec.destination),
    macBytes(spec.source),
    ...tags.map((tci) => words16(0x8100, tci)),
    words16(etherType),
    body,
  ]);
};

/** IP header, transport header and payload: also what an ICMP error quotes. */
export const buildIpPacket = (spec: IpPacketSpec): Buffer =>
  buildIp(spec.ip, protocolOf(spec), buildTransport(spec));

/**
 * The datagram of `spec` in pieces of at most `size` payload bytes (a multiple of 8), as a sender
 * behind a small MTU makes them: checksums are those of the whole.
 */
export const buildFragments = (spec: PacketSpec, size: number): Buffer[] => {
  const whole = buildTransport(spec);
  const count = Math.ceil(whole.length / size);
  const etherType = spec.ip.source.includes(':') ? 0x86dd : 0x0800;
  return Array.from({ length: count }, (_, i) => {
    const fragment = { offset: i * size, more: i < count - 1 };
    const ip = { ...spec.ip, fragment, dontFragment: false };
    const piece = whole.subarray(i * size, (i + 1) * size);
    return buildFrame(spec.ethernet, etherType, buildIp(ip, protocolOf(spec), piece));
  });
};

/** Kind 2, length 4: the maximum segment size that a SYN announces. */
export const mssOption = (mss: number): Buffer => Buffer.from([2, 4, mss >> 8, mss & 255]);

const protocolOf = ({ ip, transport }: IpPacketSpec): number => {
  if (transport.kind === 'raw') return transport.protocol;
  if (transport.kind === 'icmp') return ip.source.includes(':') ? PROTOCOLS.icmp6 : PROTOCOLS.icmp;
  return PROTOCOLS[transport.kind];
};

const buildIp = (ip: IpSpec, protocol: number, body: Uint8Array): Buffer =>
  ip.source.includes(':') ? buildIpv6(ip, protocol, body) : buildIpv4(ip, protocol, body);

const buildIpv4 = (ip: IpSpec, protocol: number, body: Uint8Array): Buffer => {
  const options = padded(ip.options ?? Buffer.alloc(0));
  const header = Buffer.alloc(20 + options.length);
  header[0] = 0x40 | (header.length / 4);
  header[1] = ip.tos ?? 0;
  header.writeUInt16BE(header.length + body.length, 2);
  header.writeUInt16BE(ip.id ?? 0, 4);
  const dontFragment = (ip.dontFragment ?? true) ? 0x4000 : 0;
  const more = ip.fragment?.more === true ? 0x2000 : 0;
  header.writeUInt16BE(dontFragment | more | ((ip.fragment?.offset ?? 0) >> 3), 6);
  header[8] = ip.ttl ?? 64;
  header[9] = protocol;
  ipBytes(ip.source).copy(header, 12);
  ipBytes(ip.destination).copy(header, 16);
  header.set(options, 20);
  header.writeUInt16BE(ip.checksum ?? internetChecksum(header), 10);
  return Buffer.concat([header, body]);
};

const buildIpv6 = (ip: IpSpec, protocol: number, body: Uint8Array): Buffer => {
  const chain = [...(ip.extensions ?? [])];
  const numbers = [...chain.map(({ header }) => header), ...(ip.fragment ? [44] : []), protocol];
  const extensions = chain.map(({ body: content }, i) => {
    const bytes = Buffer.alloc(Math.ceil((2 + (content?.length ?? 0)) / 8) * 8);
    bytes[0] = numbers[i + 1] ?? 59;
    bytes[1] = bytes.length / 8 - 1;
    bytes.set(content ?? [], 2);
    return bytes;
  });
  if (ip.fragment) {
    const header = Buffer.from([protocol, 0, 0, 0, 0, 0, 0, 0]);
    header.writeUInt16BE(ip.fragment.offset | (ip.fragment.more ? 1 : 0), 2);
    header.writeUInt32BE(ip.id ?? 0, 4);
    extensions.push(header);
  }
  const content = Buffer.concat([...extensions, body]);
  const header = Buffer.alloc(40);
  header.writeUInt32BE((0x60000000 | ((ip.tos ?? 0) << 20)) >>> 0, 0);
  header.writeUInt16BE(content.length, 4);
  header[6] = numbers[0] ?? 59;
  header[7] = ip.ttl ?? 64;
  ipBytes(ip.source).copy(header, 8);
  ipBytes(ip.destination).copy(header, 24);
  return Buffer.concat([header, content]);
};

const buildTransport = (spec: IpPacketSpec): Buffer => {
  const payload = Buffer.from(spec.payload ?? '');
  const { transport } = spec;
  switch (transport.kind) {
    case 'tcp': {
      const options = padded(transport.options ?? Buffer.alloc(0));
      const header = Buffer.alloc(20 + options.length);
      words16(transport.source, transport.destination).copy(header);
      header.writeUInt32BE(transport.sequence ?? 1000, 4);
      header.writeUInt32BE(transport.acknowledgement ?? 0, 8);
      header[12] = (header.length / 4) << 4;
      header[13] = transport.flags.reduce((bits, flag) => bits | TCP_FLAGS[flag], 0);
      header.writeUInt16BE(transport.window ?? 64240, 14);
      header.set(options, 20);
      return summed(spec, Buffer.concat([header, payload]), 16, transport.checksum);
    }
    case 'udp': {
      const header = words16(transport.source, transport.destination, 8 + payload.length, 0);
      const bytes = summed(spec, Buffer.concat([header, payload]), 6, transport.checksum);
      // A computed 0 is sent as all ones (RFC 768): 0 means "no checksum".
      if (transport.checksum === undefined && bytes.readUInt16BE(6) === 0)
        bytes.writeUInt16BE(0xffff, 6);
      return bytes;
    }
    case 'icmp': {
      const header = Buffer.alloc(8);
      header[0] = transport.type;
      header[1] = transport.code;
      header.writeUInt32BE(transport.rest ?? 0, 4);
      return summed(spec, Buffer.concat([header, payload]), 2, transport.checksum);
    }
    case 'sctp': {
      const header = Buffer.alloc(12);
      words16(transport.source, transport.destination).copy(header);
      header.writeUInt32BE(transport.tag ?? 0, 4);
      const bytes = Buffer.concat([header, payload]);
      bytes.writeUInt32LE(transport.checksum ?? crc32c(bytes), 8);
      return bytes;
    }
    case 'raw':
      return payload;
  }
};

const summed = (spec: IpPacketSpec, bytes: Buffer, at: number, forced?: number): Buffer => {
  bytes.writeUInt16BE(forced ?? internetChecksum(bytes, pseudoHeader(spec, bytes.length)), at);
  return bytes;
};

/** What transport checksums cover beside the bytes; ICMPv4 has none. */
const pseudoHeader = (spec: IpPacketSpec, length: number): Buffer => {
  const protocol = protocolOf(spec);
  if (protocol === PROTOCOLS.icmp) return Buffer.alloc(0);
  return Buffer.concat([
    ipBytes(spec.ip.source),
    ipBytes(spec.ip.destination),
    words16(length >> 16, length & 0xffff, 0, protocol),
  ]);
};

const padded = (options: Uint8Array): Buffer =>
  Buffer.concat([options, Buffer.alloc(-options.length & 3)]);

const words16 = (...words: readonly number[]): Buffer =>
  Buffer.from(words.flatMap((word) => [(word >> 8) & 255, word & 255]));
