// SPDX-License-Identifier: Apache-2.0
// What is none of the datapath's business reaches the kernel byte for byte as it came.
import { buildFrame, buildPacket, type PacketSpec } from '../../support/packet.js';
import { bothFamilies, type Case } from '../support/case.js';
import type { BoardSpec } from '../support/board-spec.js';
import type { Switchboard } from '../support/switchboard.js';
import { assertPassed, familyOf, Talk, type Family } from '../support/talk.js';
import { ABSENT_VIP4, ABSENT_VIP6, GATEWAY_MAC, PORTS } from '../support/world.js';
import assert from 'node:assert/strict';

const ethernet = { source: GATEWAY_MAC, destination: PORTS.front.mac };
const spec = (family: Family, more: object = {}): BoardSpec => ({
  listeners: [{ members: [{ address: familyOf(family).member }], ...more }],
});

const passes = (board: Switchboard, frame: Buffer): void => {
  assertPassed(board.send(frame, 'front'), frame);
};

const packet = (family: Family, more: Omit<PacketSpec, 'ethernet' | 'ip'>, to?: string): Buffer =>
  buildPacket({
    ethernet,
    ip: { source: familyOf(family).client, destination: to ?? familyOf(family).vip },
    ...more,
  });

const SYN = { kind: 'tcp', source: 40000, destination: 80, flags: ['SYN'] } as const;
const stranger = { 4: '10.0.0.77', 6: 'fd00:0::77' } as const;

const others: readonly (readonly [string, Omit<PacketSpec, 'ethernet' | 'ip'>])[] = [
  ['TCP to another port of the VIP', { transport: { ...SYN, destination: 81 } }],
  ['UDP to a TCP service', { transport: { kind: 'udp', source: 40000, destination: 80 } }],
  ['SCTP to a TCP service', { transport: { kind: 'sctp', source: 40000, destination: 80 } }],
  ['VRRP', { transport: { kind: 'raw', protocol: 112 }, payload: Buffer.alloc(20, 1) }],
  ['ESP', { transport: { kind: 'raw', protocol: 50 }, payload: Buffer.alloc(40, 1) }],
  ['a protocol that nobody knows', { transport: { kind: 'raw', protocol: 253 }, payload: 'x' }],
];

export const bystanders: readonly Case[] = [
  ...bothFamilies('a packet to an address that is not ours passes', (board, family) => {
    board.reset(spec(family));
    passes(board, packet(family, { transport: SYN }, stranger[family]));
    assert.ok(board.reason('NOT_OURS') >= 1); // the ports are live: the kernel's own MLD may count too
  }),
  ...others.flatMap(([what, more]) =>
    bothFamilies(`${what} passes`, (board, family) => {
      board.reset(spec(family));
      passes(board, packet(family, more));
    }),
  ),
  ...bothFamilies('an echo request to the VIP is left to the kernel', (board, family) => {
    board.reset(spec(family));
    const type = family === 4 ? 8 : 128;
    passes(board, packet(family, { transport: { kind: 'icmp', type, code: 0 }, payload: 'ping' }));
  }),
  ...bothFamilies('an echo request to a SNAT address is left to the kernel', (board, family) => {
    board.reset(spec(family));
    const frame = buildPacket({
      ethernet: { source: '02:00:00:00:01:0b', destination: PORTS.back.mac },
      ip: { source: familyOf(family).member, destination: familyOf(family).snat },
      transport: { kind: 'icmp', type: family === 4 ? 8 : 128, code: 0 },
      payload: 'ping',
    });
    assertPassed(board.send(frame, 'back'), frame);
  }),
  {
    name: 'neighbour solicitation and advertisement pass',
    run: (board) => {
      board.reset(spec(6));
      for (const type of [133, 134, 135, 136])
        passes(board, packet(6, { transport: { kind: 'icmp', type, code: 0 }, payload: 'target' }));
    },
  },
  {
    name: 'ARP, LLDP and 802.3 frames pass',
    run: (board) => {
      board.reset(spec(4));
      for (const type of [0x0806, 0x88cc, 0x0026])
        passes(board, buildFrame(ethernet, type, Buffer.alloc(46, 7)));
    },
  },
  ...bothFamilies('a service of a VIP that the kernel does not own is silent', (board, family) => {
    const vip = family === 4 ? ABSENT_VIP4 : ABSENT_VIP6;
    board.reset(spec(family, { vips: [vip] }));
    passes(board, packet(family, { transport: SYN }, vip));
    assert.equal(board.reason('VIP_NOT_LOCAL'), 1);
  }),
  ...bothFamilies('a listener that is not live is left to the kernel', (board, family) => {
    board.reset(spec(family, { flags: 0 }));
    passes(board, packet(family, { transport: SYN }));
  }),
  ...bothFamilies("a member's packet of no known flow passes", (board, family) => {
    board.reset(spec(family));
    const { member, snat } = familyOf(family);
    const frame = buildPacket({
      ethernet: { source: '02:00:00:00:01:0b', destination: PORTS.back.mac },
      ip: { source: member, destination: snat },
      transport: { ...SYN, source: 8080, destination: 20000, flags: ['SYN', 'ACK'] },
    });
    assertPassed(board.send(frame, 'back'), frame);
  }),
  ...bothFamilies('a flow is known only to its own protocol and ports', (board, family) => {
    board.reset(spec(family));
    const talk = new Talk(board, family).connect();
    const other = new Talk(board, family, { clientPort: talk.client.port + 1 });
    passes(board, buildPacket(other.clientSpec({ flags: ['ACK'] })));
    const udp = new Talk(board, family, { protocol: 'udp' });
    passes(board, buildPacket(udp.clientSpec({ payload: 'x' })));
  }),
];
