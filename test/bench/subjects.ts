// SPDX-License-Identifier: Apache-2.0
// The figures that test-run gives: what is sent, how often, and what must become of it.
import { totalmem } from 'node:os';
import { tableSizes } from '../../agent/core/plan/sizes.js';
import { ipBytes } from '../support/address.js';
import { buildPacket, type TransportSpec } from '../support/packet.js';
import type { BoardSpec } from '../bpf/support/board-spec.js';
import { Switchboard } from '../bpf/support/switchboard.js';
import { Talk, type Family } from '../bpf/support/talk.js';
import { GATEWAY_MAC, PORTS, VIP4, VIP6 } from '../bpf/support/world.js';
import { FIRST_CLIENT_PORT, Meter, type Batches, type Feeder, type Figure } from './meter.js';

export interface Row extends Figure {
  readonly subject: string;
}

/** Enough members that every flow of the largest subject finds a SNAT port. */
const MEMBERS = 256;
const TCP_PORT = 80;
const UDP_PORT = 53;
const XDP = { drop: 1, pass: 2, tx: 3, redirect: 4 } as const;
/** Per CPU, as the agent sizes them for this machine. */
const { cacheLines, recentLines } = tableSizes(totalmem());
export const LINES = { cache: cacheLines, recent: recentLines };
const MEMBER_HOP = '02:00:00:00:01:01';
const CLIENT = { 4: '100.64.0.0', 6: '2001:db8:c::1' } as const;
const STRANGER = { 4: '203.0.113.9', 6: '2001:db8:9::9' } as const;

const members = (family: Family) =>
  Array.from({ length: MEMBERS }, (_, i) => ({
    address: family === 4 ? `10.9.1.${i}` : `fd00:9::${(i + 1).toString(16)}`,
  }));

const boardSpec = (family: Family, control: Readonly<Record<string, number>>): BoardSpec => ({
  control: { snat_port_min: 1024, snat_port_max: 65535, ...control },
  listeners: [
    { vips: [family === 4 ? VIP4 : VIP6], port: TCP_PORT, members: members(family) },
    {
      vips: [family === 4 ? VIP4 : VIP6],
      port: UDP_PORT,
      protocol: 'udp',
      members: members(family),
    },
  ],
});

/** 64 bytes in IPv4, the least that a header and ten bytes take in IPv6. */
const template = (family: Family, transport: TransportSpec): Buffer =>
  buildPacket({
    ethernet: { source: GATEWAY_MAC, destination: PORTS.front.mac },
    ip: { source: CLIENT[family], destination: family === 4 ? VIP4 : VIP6 },
    transport,
    payload: Buffer.alloc(transport.kind === 'tcp' ? 10 : 22),
  });

const tcpTemplate = (family: Family, flag: 'SYN' | 'ACK'): Buffer =>
  template(family, {
    kind: 'tcp',
    source: FIRST_CLIENT_PORT,
    destination: TCP_PORT,
    flags: [flag],
  });

const udpTemplate = (family: Family): Buffer =>
  template(family, { kind: 'udp', source: FIRST_CLIENT_PORT, destination: UDP_PORT });

export class Subjects {
  constructor(
    readonly meter: Meter,
    readonly objects: string,
    readonly batches: Batches,
  ) {}

  /** The base program behind a feeder, for the table: nothing is subtracted. */
  base(family: Family): Row {
    return this.#on(family, 1, `base, IPv${family}`, (board) => {
      this.#feed(1, 17, UDP_PORT, family);
      return this.#raw(board, `same${family}`, this.meter.baseFd(), udpTemplate(family), XDP.tx);
    });
  }

  /** What the machine asks for a hash lookup and a redirect: nothing that uses them can be faster. */
  bare(family: Family): Row {
    return this.#on(family, 1, `a hash lookup and a redirect, IPv${family}`, (board) => {
      this.#feed(1, 17, UDP_PORT, family);
      const packet = udpTemplate(family);
      const bare = this.#raw(board, `same${family}`, this.meter.bareFd(), packet, XDP.redirect);
      const base = this.#raw(board, `same${family}`, this.meter.baseFd(), packet, XDP.tx);
      return { ...bare, minimum: bare.minimum - base.minimum, median: bare.median - base.median };
    });
  }

  establishedTcp(family: Family): Row {
    return this.#on(family, 1, `established TCP, IPv${family}, 1 flow`, (board) => {
      const client = CLIENT[family];
      const clientPort = FIRST_CLIENT_PORT;
      new Talk(board, family, { client, clientPort, memberHop: MEMBER_HOP }).connect();
      this.#feed(1, 6, TCP_PORT, family);
      return this.#added(board, `same${family}`, tcpTemplate(family, 'ACK'), XDP.redirect);
    });
  }

  /** `flows` UDP flows, opened by the datapath itself, then met in random order. */
  establishedUdp(family: Family, flows: number): Row {
    const subject = `established UDP, IPv${family}, ${flows} ${flows === 1 ? 'flow' : 'flows'}`;
    return this.#on(family, flows, subject, (board) => {
      const packet = udpTemplate(family);
      this.#open(board, family, flows, packet);
      const made = board.map(family === 4 ? 'flows4' : 'flows6').dump().count;
      if (made !== 2 * flows) throw new Error(`${made} entries instead of ${2 * flows}`);
      this.#feed(flows, 17, UDP_PORT, family);
      const feeder = flows === 1 ? (`same${family}` as const) : (`random${family}` as const);
      return this.#added(board, feeder, packet, XDP.redirect);
    });
  }

  /** SYNs of ever new clients: a choice, a port and both halves each, and from 64 k on an eviction. */
  newTcp(family: Family): Row {
    return this.#on(family, 1, `new TCP flow, IPv${family}`, (board) => {
      this.#feed(1 << 20, 6, TCP_PORT, family);
      return this.#added(board, `sequence${family}`, tcpTemplate(family, 'SYN'), XDP.redirect);
    });
  }

  aboveGuard(family: Family): Row {
    const control = { guard_limit: 1, guard_share: 1 };
    const subject = `SYN above the guard, IPv${family}`;
    return this.#on(family, 1, subject, (board) => {
      board.reset(boardSpec(family, control));
      this.#feed(1 << 20, 6, TCP_PORT, family);
      return this.#added(board, `sequence${family}`, tcpTemplate(family, 'SYN'), XDP.drop);
    });
  }

  notOurs(family: Family): Row {
    return this.#on(family, 1, `not ours, IPv${family}`, (board) => {
      this.#feed(1 << 20, 17, UDP_PORT, family, 1, STRANGER[family]);
      return this.#added(board, `sequence${family}`, udpTemplate(family), XDP.pass);
    });
  }

  /** A fresh object for each subject, so that none inherits the other's tables. */
  #on(
    family: Family,
    flows: number,
    subject: string,
    measure: (board: Switchboard) => Figure,
  ): Row {
    // Two entries per flow, and twice the room: chains stay short, as the agent sizes them for a machine's peak.
    const entries = Math.max(4096, flows * 4);
    const board = new Switchboard('xdp', this.objects, {
      lines: LINES,
      maxEntries: { [`flows${family}`]: entries, half4: 65_536, half6: 65_536 },
    });
    try {
      board.reset(boardSpec(family, {}));
      return { subject, ...measure(board) };
    } finally {
      board.close();
    }
  }

  #feed(
    flows: number,
    protocol: 6 | 17,
    destinationPort: number,
    family: Family,
    start = 1,
    destination: string = family === 4 ? VIP4 : VIP6,
    packetsPerFlow: 1 | 2 = 1,
  ): void {
    const vip4 = ipBytes(family === 4 ? destination : VIP4);
    const vip6 = ipBytes(family === 6 ? destination : VIP6);
    this.meter.feed({ flows, start, protocol, destinationPort, vip4, vip6, packetsPerFlow });
  }

  /** Two packets each: a flow is half-open until its second. In slices that the half-open table holds. */
  #open(board: Switchboard, family: Family, flows: number, packet: Uint8Array): void {
    const slice = Math.min(flows, 8192);
    for (let start = 0; start < flows; start += slice) {
      this.#feed(flows, 17, UDP_PORT, family, start * 2, undefined, 2);
      const fd = board.programFd();
      this.meter.run(`sequence${family}`, fd, packet, slice * 2, board.ifindex('front'));
    }
  }

  #raw(
    board: Switchboard,
    feeder: Feeder,
    fd: number,
    packet: Uint8Array,
    verdict: number,
  ): Figure {
    return this.meter.measure(
      { feeder, fd, packet, verdict, ingressIfindex: board.ifindex('front') },
      this.batches,
    );
  }

  /** What the datapath costs more than the base behind the same feeder, measured one after the other. */
  #added(board: Switchboard, feeder: Feeder, packet: Uint8Array, verdict: number): Figure {
    const ours = this.#raw(board, feeder, board.programFd(), packet, verdict);
    const base = this.#raw(board, feeder, this.meter.baseFd(), packet, XDP.tx);
    return {
      minimum: ours.minimum - base.minimum,
      median: ours.median - base.median,
      runs: ours.runs,
    };
  }
}
