// SPDX-License-Identifier: Apache-2.0
// Packets of clients and members, most of them right: many short conversations at once, in random turns.
import {
  buildFragments,
  buildPacket,
  mssOption,
  type PacketSpec,
  type TcpFlag,
} from '../../support/packet.js';
import { ipBytes, ipText } from '../../support/address.js';
import type { Random } from '../../support/random.js';
import { GATEWAY_MAC, PORTS, type Port } from '../support/world.js';
import { backwards, type FlowBook, type Way } from './flow-book.js';
import { CLIENTS, LISTENERS, MARTIANS, OWN, SNAT, STRANGERS } from './population.js';
import { SCTP, TCP, UDP } from './view.js';

export interface Sent {
  readonly frame: Buffer;
  readonly port: Port;
}

type Flags = readonly TcpFlag[];
type Step = readonly ['client' | 'member', Flags];

const HANDSHAKE: readonly Step[] = [
  ['client', ['SYN']],
  ['member', ['SYN', 'ACK']],
  ['client', ['ACK']],
];
const DATA: readonly Step[] = [
  ['client', ['ACK', 'PSH']],
  ['member', ['ACK']],
];
const ENDS: readonly (readonly Step[])[] = [
  [
    ['client', ['FIN', 'ACK']],
    ['member', ['FIN', 'ACK']],
    ['client', ['ACK']],
  ],
  [
    ['member', ['FIN', 'ACK']],
    ['client', ['RST', 'ACK']],
  ],
  [['member', ['RST']]],
  [
    ['client', ['RST']],
    ['client', ['SYN']],
  ],
  [],
];
const REFUSED: readonly Step[] = [
  ['client', ['SYN']],
  ['member', ['RST', 'ACK']],
  ['client', ['SYN']],
];
const ODD: readonly Step[] = [
  ['client', ['SYN', 'FIN']],
  ['client', ['SYN', 'ACK']],
  ['client', []],
  ['member', ['SYN']],
  ['client', ['SYN', 'RST', 'FIN', 'ACK', 'PSH', 'URG']],
];

interface Conversation {
  readonly way: Way;
  readonly family: 4 | 6;
  readonly tag: number | undefined;
  readonly steps: Step[];
}

export class Traffic {
  readonly #talks: Conversation[] = [];
  readonly #queue: Sent[] = [];

  constructor(
    readonly random: Random,
    readonly book: FlowBook,
  ) {}

  next(): Sent {
    const queued = this.#queue.shift();
    if (queued) return queued;
    if (this.random.chance(0.04)) return this.#stray();
    while (this.#talks.length < 24) this.#talks.push(this.#newTalk());
    const at = this.random.integer(0, this.#talks.length - 1);
    const talk = this.#talks[at];
    const step = talk?.steps.shift();
    if (talk && step) return this.#speak(talk, step) ?? this.next();
    this.#talks.splice(at, 1);
    return this.next();
  }

  #newTalk(): Conversation {
    const { random } = this;
    const listener = random.pick(LISTENERS);
    const vip = random.pick(listener.vips ?? []);
    const family = vip.includes(':') ? 6 : 4;
    const martian = random.chance(0.03);
    const source = random.pick(martian ? [...MARTIANS[family], vip] : CLIENTS[family]);
    const ports = [40000, 40001, 40002, SNAT.min, SNAT.min + 1, SNAT.max, 0, 65535];
    const kind = listener.protocol ?? 'tcp';
    return {
      way: {
        protocol: { tcp: TCP, udp: UDP, sctp: SCTP }[kind],
        source: hexadecimal(source),
        sport: random.pick(ports),
        destination: hexadecimal(vip),
        dport: listener.port ?? 80,
      },
      family,
      tag: random.chance(0.1) ? random.integer(0, 0xffff) : undefined,
      steps: kind === 'tcp' ? this.#tcpSteps() : this.#datagramSteps(),
    };
  }

  #tcpSteps(): Step[] {
    const { random } = this;
    if (random.chance(0.1)) return [random.pick(ODD), random.pick(ODD)];
    if (random.chance(0.1)) return [...REFUSED, ...REFUSED.slice(1)];
    const data = Array.from({ length: random.integer(0, 3) }, () => random.pick(DATA));
    const steps = [...HANDSHAKE, ...data, ...random.pick(ENDS)];
    return random.chance(0.2) ? steps.slice(0, random.integer(1, steps.length)) : steps;
  }

  #datagramSteps(): Step[] {
    return Array.from({ length: this.random.integer(1, 5) }, (_, i): Step => [
      i % 2 === 0 || this.random.chance(0.3) ? 'client' : 'member',
      [],
    ]);
  }

  /** Null when the member is to speak and nothing has reached it yet. */
  #speak(talk: Conversation, [who, flags]: Step): Sent | null {
    const seen = this.book.byClient(talk.way);
    if (who === 'client') {
      const thin = talk.way.dport === 84 && this.random.chance(0.2);
      return this.#pieces(this.#spec(talk.way, 'front', flags, talk), thin ? 1450 : 0, 'front');
    }
    if (!seen) return null;
    const way = backwards(seen.member);
    const port = portOf(way.source);
    return this.#pieces(this.#spec(way, port, flags, talk), 0, port);
  }

  #spec(way: Way, port: Port, flags: Flags, talk: Conversation): PacketSpec {
    const { random } = this;
    const ethernet = { source: GATEWAY_MAC, destination: PORTS[port].mac };
    const ports = { source: way.sport, destination: way.dport };
    const ip: PacketSpec['ip'] = {
      source: addressText(way.source),
      destination: addressText(way.destination),
      id: random.integer(0, 0xffff),
      tos: random.integer(0, 255),
      dontFragment: random.chance(0.7),
      ...(random.chance(0.05) ? this.#oddIp(talk.family) : {}),
    };
    const none = way.protocol === UDP && talk.family === 4 && random.chance(0.1);
    return {
      ethernet: talk.tag === undefined ? ethernet : { ...ethernet, vlan: talk.tag },
      ip,
      transport:
        way.protocol === TCP
          ? { kind: 'tcp', ...ports, flags, ...this.#options(flags) }
          : {
              kind: way.protocol === UDP ? 'udp' : 'sctp',
              ...ports,
              ...(none ? { checksum: 0 } : {}),
            },
      payload: Buffer.alloc(
        random.chance(0.1) ? random.integer(1300, 3000) : random.integer(0, 90),
        0x5a,
      ),
    };
  }

  #options(flags: Flags): { options?: Buffer } {
    const { random } = this;
    const noise = Buffer.from(
      Array.from({ length: random.integer(1, 36) }, () => random.integer(0, 6)),
    );
    if (!flags.includes('SYN')) return random.chance(0.1) ? { options: noise } : {};
    const mss = mssOption(random.integer(0, 0xffff));
    const nops = Buffer.alloc(random.integer(0, 5), 1);
    const kinds = [mss, Buffer.concat([nops, mss]), Buffer.from([3, 3, 7, 2, 4, 255, 255]), noise];
    return random.chance(0.2) ? {} : { options: random.pick(kinds) };
  }

  #oddIp(family: 4 | 6): Partial<PacketSpec['ip']> {
    const { random } = this;
    const bytes = Buffer.from(
      Array.from({ length: random.integer(1, 40) }, () => random.integer(0, 255)),
    );
    const ttl = { ttl: random.pick([0, 1, 2, 255]) };
    if (random.chance(0.4)) return ttl;
    if (family === 4) return { options: bytes };
    const headers = Array.from({ length: random.integer(1, 8) }, () => ({
      header: random.pick([0, 43, 51, 60, 44]),
      ...(random.chance(0.4) ? { body: random.chance(0.5) ? Buffer.alloc(6) : bytes } : {}),
    }));
    return { extensions: headers };
  }

  /** Some packets come in pieces, in any order, with gaps and repetitions. */
  #pieces(spec: PacketSpec, extra: number, port: Port): Sent {
    const { random } = this;
    if (extra > 0) return { frame: buildPacket({ ...spec, payload: Buffer.alloc(extra) }), port };
    if (!random.chance(0.04)) return { frame: buildPacket(spec), port };
    const all = buildFragments(
      { ...spec, payload: Buffer.alloc(random.integer(30, 900)) },
      8 * random.integer(2, 40),
    );
    const sent = random.sample([...all, ...all.slice(0, 1)], random.integer(1, all.length + 1));
    const ordered = random.chance(0.7) ? [...all] : sent;
    this.#queue.push(...ordered.slice(1).map((frame) => ({ frame, port })));
    return { frame: ordered[0] ?? Buffer.alloc(14), port };
  }

  /** Packets that are nobody's: for strangers, for ports that nobody serves, for SNAT ports without a flow. */
  #stray(): Sent {
    const { random } = this;
    const family = random.pick([4, 6] as const);
    const own = OWN.filter((address) => address.includes(':') === (family === 6));
    const destination = random.pick([...own, ...STRANGERS[family]]);
    const protocol = random.pick([TCP, TCP, UDP, SCTP]);
    const way: Way = {
      protocol,
      source: hexadecimal(random.pick([...CLIENTS[family], ...MARTIANS[family]])),
      sport: random.integer(0, 0xffff),
      destination: hexadecimal(destination),
      dport: random.pick([0, 22, 80, 443, 9443, SNAT.min + 3, SNAT.max]),
    };
    const talk = { way, family, tag: undefined, steps: [] };
    const flags = random.pick([...HANDSHAKE, ...DATA, ...ODD])[1];
    const port = random.pick(['front', 'back'] as const);
    return { frame: buildPacket(this.#spec(way, port, flags, talk)), port };
  }
}

/** Where the members of the world live, by their address. */
export const portOf = (member: string): Port => (/^0a02|^fd000002/.test(member) ? 'thin' : 'back');

export const hexadecimal = (address: string): string => ipBytes(address).toString('hex');

export const addressText = (bytes: string): string => ipText(Buffer.from(bytes, 'hex'));
