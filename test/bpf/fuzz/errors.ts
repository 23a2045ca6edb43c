// SPDX-License-Identifier: Apache-2.0
// ICMP errors about flows that the onlooker has seen, from either side, with quotes that may be true, cut or lies.
import {
  buildIpPacket,
  buildPacket,
  type IpPacketSpec,
  type PacketSpec,
} from '../../support/packet.js';
import type { Random } from '../../support/random.js';
import { GATEWAY_MAC, PORTS } from '../support/world.js';
import { backwards, type FlowBook, type Way } from './flow-book.js';
import { addressText, portOf, type Sent } from './traffic.js';
import { TCP, UDP } from './view.js';

type Kind = readonly [type: number, code: number];
const KINDS: Readonly<Record<4 | 6, readonly Kind[]>> = {
  4: [
    [3, 0],
    [3, 1],
    [3, 3],
    [3, 4],
    [11, 0],
    [12, 0],
    [5, 1],
    [8, 0],
    [0, 0],
    [255, 255],
  ],
  6: [
    [1, 0],
    [1, 4],
    [2, 0],
    [3, 0],
    [4, 1],
    [0, 0],
    [5, 0],
    [128, 0],
    [135, 0],
    [255, 0],
  ],
};

/** Null before any flow has been seen. */
export const icmpError = (random: Random, book: FlowBook): Sent | null => {
  const flows = book.recent();
  if (flows.length === 0) return null;
  const flow = random.pick(flows);
  const towardsMember = random.chance(0.5);
  // what left us in that direction, as its receiver or a router on its way got it
  const quoted = towardsMember ? flow.member : backwards(flow.client);
  const port = towardsMember ? portOf(flow.member.destination) : 'front';
  const quote = spoilt(random, quoteOf(random, quoted, flow.family), flow.family);
  const [type, code] = random.pick(KINDS[flow.family]);
  const lying = random.chance(0.1) ? random.pick(flows) : flow;
  const to =
    lying.family === flow.family && lying !== flow ? lying.client.destination : quoted.source;
  const spec: PacketSpec = {
    ethernet: { source: GATEWAY_MAC, destination: PORTS[port].mac },
    ip: {
      source: addressText(random.chance(0.7) ? quoted.destination : flow.client.source),
      destination: addressText(to),
    },
    transport: { kind: 'icmp', type, code, rest: random.pick([0, 0x0576, 1280, 0xffffffff]) },
    payload: quote,
  };
  const behind = random.chance(0.1) ? random.integer(1, 40) : 0;
  return { frame: Buffer.concat([buildPacket(spec), Buffer.alloc(behind, 0xee)]), port };
};

const quoteOf = (random: Random, way: Way, family: 4 | 6): Buffer => {
  const ports = { source: way.sport, destination: way.dport };
  const spec: IpPacketSpec = {
    ip: {
      source: addressText(way.source),
      destination: addressText(way.destination),
      ttl: random.integer(1, 63),
      ...(family === 4 && random.chance(0.1) ? { options: Buffer.alloc(8, 1) } : {}),
      ...(random.chance(0.1) ? { fragment: { offset: random.pick([0, 8]), more: true } } : {}),
    },
    transport:
      way.protocol === TCP
        ? { kind: 'tcp', ...ports, flags: [random.pick(['SYN', 'ACK', 'RST'] as const)] }
        : { kind: way.protocol === UDP ? 'udp' : 'sctp', ...ports },
    payload: Buffer.alloc(random.integer(0, 60), 0x33),
  };
  return buildIpPacket(spec);
};

const spoilt = (random: Random, quote: Buffer, family: 4 | 6): Buffer => {
  if (random.chance(0.5)) return quote;
  const l4 = family === 4 ? 20 : 40;
  if (random.chance(0.6))
    return quote.subarray(0, random.integer(0, Math.min(quote.length, l4 + 24)));
  const copy = Buffer.from(quote);
  for (let flips = random.integer(1, 3); flips > 0; flips -= 1)
    copy[random.integer(0, l4 + 7)] = random.integer(0, 255);
  return copy;
};
