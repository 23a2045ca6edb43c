// SPDX-License-Identifier: Apache-2.0
// The figures that test-run gives: what is sent, how often, and what must become of it.
import { ipBytes } from '../support/address.js';
import { buildPacket, type TransportSpec } from '../support/packet.js';
import { Switchboard, type BoardSpec } from '../bpf/support/switchboard.js';
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
const XDP = { drop: 1, pass: 2, redirect: 4 } as const;
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

  /** The base program alone behind a feeder: not to be subtracted, for the table. */
  base(family: Family): Row {
    const board = this.#board(family, 1);
    const row = this.#raw(board, `same${family}`, this.meter.baseFd(), udpTemplate(family), 3);
    board.close();
    return { subject: `base, IPv${family}`, ...row };
  }

  establishedTcp(family: Family): Row {
    const board = this.#board(family, 1);
    const talk = new Talk(board, family, {
      client: CLIENT[family],
      clientPort: FIRST_CLIENT_PORT,
      memberHop: '02:00:00:00:01:01',
    });
    talk.connect();
    this.#feed(1, 6, TCP_PORT, family);
    const packet = tcpTemplate(family, 'ACK');
    const row = this.#added(board, `same${family}`, packet, XDP.redirect);
    board.close();
    return { subject: `established TCP, IPv${family}, 1 flow`, ...row };
  }

  /** `flows` UDP flows, opened by the datapath itself, then met in random order. */
  establishedUdp(family: Family, flows: number): Row {
    const board = this.#board(family, flows);
    this.#feed(flows, 17, UDP_PORT, family, 0);
    const packet = udpTemplate(family);
    this.meter.run(`sequence${family}`, board.programFd(), packet, flows, board.ifindex('front'));
    const made = board.flowCount(family === 4 ? 'flows4' : 'flows6');
    if (made !== 2 * flows) throw new Error(`${made} entries instead of ${2 * flows}`);
    this.#feed(flows, 17, UDP_PORT, family);
    const feeder = flows === 1 ? (`same${family}` as const) : (`random${family}` as const);
    const row = this.#added(board, feeder, packet, XDP.redirect);
    board.close();
    return { subject: `established UDP, IPv${family}, ${flows} flows`, ...row };
  }

  newTcp(family: Family): Row {
    const board = this.#board(family, 1);
    this.#feed(1 << 20, 6, TCP_PORT, family);
    const packet = tcpTemplate(family, 'SYN');
    const row = this.#added(board, `sequence${family}`, packet, XDP.redirect);
    board.close();
    return { subject: `new TCP flow, IPv${family}`, ...row };
  }

  aboveGuard(family: Family): Row {
    const board = this.#board(family, 1, { guard_limit: 1, guard_share: 1 });
    this.#feed(1 << 20, 6, TCP_PORT, family);
    const packet = tcpTemplate(family, 'SYN');
    const row = this.#added(board, `sequence${family}`, packet, XDP.drop);
    board.close();
    return { subject: `SYN above the guard, IPv${family}`, ...row };
  }

  notOurs(family: Family): Row {
    const board = this.#board(family, 1);
    this.#feed(1 << 20, 17, UDP_PORT, family, 1, STRANGER[family]);
    const row = this.#added(board, `sequence${family}`, udpTemplate(family), XDP.pass);
    board.close();
    return { subject: `not ours, IPv${family}`, ...row };
  }

  #board(
    family: Family,
    flows: number,
    control: Readonly<Record<string, number>> = {},
  ): Switchboard {
    // Two entries per flow, and twice the room: chains stay short, as the agent sizes them for a machine's peak.
    const entries = Math.max(4096, flows * 4);
    const board = new Switchboard('xdp', this.objects, {
      [`flows${family}`]: entries,
      half4: 65_536,
      half6: 65_536,
    });
    board.reset(boardSpec(family, control));
    return board;
  }

  #feed(
    flows: number,
    protocol: 6 | 17,
    destinationPort: number,
    family: Family,
    start = 1,
    destination: string = family === 4 ? VIP4 : VIP6,
  ): void {
    const vip4 = ipBytes(family === 4 ? destination : VIP4);
    const vip6 = ipBytes(family === 6 ? destination : VIP6);
    this.meter.feed({ flows, start, protocol, destinationPort, vip4, vip6 });
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
    const base = this.#raw(board, feeder, this.meter.baseFd(), packet, 3);
    return {
      minimum: ours.minimum - base.minimum,
      median: ours.median - base.median,
      runs: ours.runs,
    };
  }
}
