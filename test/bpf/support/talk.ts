// SPDX-License-Identifier: Apache-2.0
// One client's conversation through the datapath: builds each side's packets, and says byte for byte what
// each must become on the other side.
import assert from 'node:assert/strict';
import { buildPacket, type PacketSpec, type TcpFlag } from '../../support/packet.js';
import { readPacket } from '../../support/packet-reader.js';
import type { Outcome, Switchboard } from './switchboard.js';
import { GATEWAY_MAC, memberMac, PORTS, VIP4, VIP6, type Port } from './world.js';

export type Family = 4 | 6;
type Ip = Partial<PacketSpec['ip']>;

export interface Content {
  readonly flags?: readonly TcpFlag[];
  readonly sequence?: number;
  readonly acknowledgement?: number;
  readonly options?: Uint8Array;
  readonly checksum?: number;
  readonly payload?: Uint8Array | string;
  readonly ip?: Ip;
  readonly vlan?: number;
}

export interface Side {
  readonly address: string;
  readonly port: number;
}

export interface TalkSpec {
  readonly protocol?: 'tcp' | 'udp';
  readonly client?: string;
  readonly clientPort?: number;
  readonly vip?: string;
  readonly vipPort?: number;
  /** Where members are, and with which address the datapath calls them. */
  readonly memberPort?: Port;
  readonly snat?: string;
  /** MAC of the next hop towards the member; the member's own when absent. */
  readonly memberHop?: string;
  /** Where the client's packets come in, and from whom. */
  readonly clientSide?: Port;
  readonly clientHop?: string;
}

const FAMILY = {
  4: { client: '198.51.100.7', vip: VIP4, snat: '10.1.0.2', member: '10.1.0.11' },
  6: { client: '2001:db8:c::7', vip: VIP6, snat: 'fd00:1::2', member: 'fd00:1::11' },
} as const;

export const familyOf = (family: Family) => FAMILY[family];

export class Talk {
  readonly protocol: 'tcp' | 'udp';
  readonly client: Side;
  readonly vip: Side;
  readonly snatAddress: string;
  readonly memberSide: Port;
  readonly clientSide: Port;
  readonly clientHop: string;
  readonly #memberHop: string | undefined;
  /** Known once a packet has reached a member. */
  #member: Side | undefined;
  #snatPort = 0;

  constructor(
    readonly board: Switchboard,
    readonly family: Family,
    spec: TalkSpec = {},
  ) {
    const plan = FAMILY[family];
    this.protocol = spec.protocol ?? 'tcp';
    this.client = { address: spec.client ?? plan.client, port: spec.clientPort ?? 40000 };
    this.vip = { address: spec.vip ?? plan.vip, port: spec.vipPort ?? 80 };
    this.memberSide = spec.memberPort ?? 'back';
    this.clientSide = spec.clientSide ?? 'front';
    this.clientHop = spec.clientHop ?? GATEWAY_MAC;
    this.snatAddress = spec.snat ?? plan.snat;
    this.#memberHop = spec.memberHop;
  }

  get member(): Side {
    assert.ok(this.#member, 'no packet has reached a member yet');
    return this.#member;
  }

  get snat(): Side {
    return { address: this.snatAddress, port: this.#snatPort };
  }

  get memberHop(): string {
    return this.#memberHop ?? memberMac(this.member.address);
  }

  /** What the client puts on the wire. */
  clientSpec(content: Content = {}): PacketSpec {
    return this.#spec(content, this.client, this.vip, {
      source: this.clientHop,
      destination: PORTS[this.clientSide].mac,
    });
  }

  /** What the member answers; `opening` must have been seen. */
  memberSpec(content: Content = {}): PacketSpec {
    return this.#spec(content, this.member, this.snat, {
      source: this.memberHop,
      destination: PORTS[this.memberSide].mac,
    });
  }

  fromClient(content: Content = {}): Outcome {
    return this.board.send(buildPacket(this.clientSpec(content)), this.clientSide);
  }

  fromMember(content: Content = {}): Outcome {
    return this.board.send(buildPacket(this.memberSpec(content)), this.memberSide);
  }

  /** Learns member and SNAT port from a forwarded packet, and checks that it went to the right place. */
  learn(outcome: Outcome): void {
    assert.equal(outcome.verdict, 'forward', `expected a forward, got ${outcome.verdict}`);
    const { ip, transport } = readPacket(outcome.frame);
    assert.ok(ip && transport, 'a packet without transport was forwarded');
    this.#member = { address: shorten(ip.destination), port: transport.destination };
    this.#snatPort = transport.source;
  }

  /** Sends from the client, checks every byte that reaches the member. */
  clientToMember(content: Content = {}): Outcome {
    const outcome = this.fromClient(content);
    this.learn(outcome);
    assertFrame(outcome, buildPacket(this.towardsMember(content)));
    return outcome;
  }

  /** Sends from the member, checks every byte that reaches the client. */
  memberToClient(content: Content = {}): Outcome {
    const outcome = this.fromMember(content);
    assert.equal(outcome.verdict, 'forward', `expected a forward, got ${outcome.verdict}`);
    assertFrame(outcome, buildPacket(this.towardsClient(content)));
    return outcome;
  }

  /** SYN, SYN-ACK, ACK, each checked. */
  connect(): this {
    this.clientToMember({ flags: ['SYN'], sequence: 1000 });
    this.memberToClient({ flags: ['SYN', 'ACK'], sequence: 5000, acknowledgement: 1001 });
    this.clientToMember({ flags: ['ACK'], sequence: 1001, acknowledgement: 5001 });
    return this;
  }

  /** What the member must get of the client's `content`. */
  towardsMember(content: Content = {}): PacketSpec {
    const ethernet = { source: PORTS[this.memberSide].mac, destination: this.memberHop };
    const spec = this.#spec(content, this.snat, this.member, ethernet);
    return leaving(spec, content, this.memberSide === this.clientSide);
  }

  /** What the client must get of the member's `content`. */
  towardsClient(content: Content = {}): PacketSpec {
    const ethernet = { source: PORTS[this.clientSide].mac, destination: this.clientHop };
    const spec = this.#spec(content, this.vip, this.client, ethernet);
    return leaving(spec, content, this.memberSide === this.clientSide);
  }

  #spec(
    content: Content,
    from: Side,
    to: Side,
    ethernet: { source: string; destination: string },
  ): PacketSpec {
    const { vlan, payload, ip, flags, sequence, acknowledgement, options, checksum } = content;
    const ports = { source: from.port, destination: to.port };
    const sum = checksum === undefined ? {} : { checksum };
    return {
      ethernet: vlan === undefined ? ethernet : { ...ethernet, vlan },
      ip: { ...ip, source: from.address, destination: to.address },
      transport:
        this.protocol === 'udp'
          ? { kind: 'udp', ...ports, ...sum }
          : {
              kind: 'tcp',
              ...ports,
              ...sum,
              flags: flags ?? ['ACK'],
              ...(sequence === undefined ? {} : { sequence }),
              ...(acknowledgement === undefined ? {} : { acknowledgement }),
              ...(options === undefined ? {} : { options }),
            },
      ...(payload === undefined ? {} : { payload }),
    };
  }
}

/** TTL one less; a VLAN tag stays only on the interface that it came in on. */
const leaving = (spec: PacketSpec, content: Content, sameInterface: boolean): PacketSpec => {
  const { source, destination } = spec.ethernet;
  const tagged = content.vlan !== undefined && sameInterface;
  return {
    ...spec,
    ip: { ...spec.ip, ttl: (content.ip?.ttl ?? 64) - 1 },
    ethernet: tagged ? { source, destination, vlan: content.vlan } : { source, destination },
  };
};

/** Byte equality, told in fields where it fails. */
export const assertFrame = (outcome: Outcome, expected: Buffer): void => {
  if (outcome.frame.equals(expected)) return;
  assert.deepEqual(readable(outcome.frame), readable(expected), 'the frame differs');
  assert.fail(`frames differ:\n${outcome.frame.toString('hex')}\n${expected.toString('hex')}`);
};

export const assertPassed = (outcome: Outcome, sent: Uint8Array): void => {
  assert.equal(outcome.verdict, 'pass');
  assert.equal(
    outcome.frame.toString('hex'),
    Buffer.from(sent).toString('hex'),
    'passed, but changed',
  );
};

/** Dropped without a trace. */
export const assertDropped = (outcome: Outcome): void => {
  assert.equal(outcome.verdict, 'drop');
};

const readable = (frame: Buffer) => {
  const { ethernet, ip, transport } = readPacket(frame);
  const text = transport && {
    ...transport,
    header: transport.header.toString('hex'),
    payload: transport.payload.toString('hex'),
  };
  return { ethernet, ip, transport: text, hex: frame.toString('hex') };
};

/** Text of a neighbour's address as the world writes it: fd00:1::11 for fd00:1:0:0:0:0:0:11. */
export const shorten = (address: string): string =>
  address.includes(':') ? address.replace(/(?::0)+:/, '::') : address;
