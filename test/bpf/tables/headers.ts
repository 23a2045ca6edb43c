// SPDX-License-Identifier: Apache-2.0
// What may stand around ports and addresses: tags, options, extension headers, the TTL, sizes.
import assert from 'node:assert/strict';
import { buildPacket, mssOption } from '../../support/packet.js';
import { readPacket } from '../../support/packet-reader.js';
import { bothFamilies, type Case } from '../support/case.js';
import { assertIcmpError } from '../support/icmp-error.js';
import type { BoardSpec } from '../support/board-spec.js';
import type { Switchboard } from '../support/switchboard.js';
import { assertFrame, assertPassed, familyOf, Talk, type Family } from '../support/talk.js';
import { GATEWAY_MAC, PORTS, thinMember } from '../support/world.js';

const spec = (family: Family, address: string = familyOf(family).member): BoardSpec => ({
  listeners: [{ members: [{ address }] }, { protocol: 'udp', port: 53, members: [{ address }] }],
});
const hopOnFront = (family: Family): string => (family === 4 ? '10.0.0.50' : 'fd00:0::50');
/** A member that is reached over the interface that clients come in on. */
const sameInterface = (board: Switchboard, family: Family): Talk => {
  board.reset(spec(family, hopOnFront(family)));
  return new Talk(board, family, { memberPort: 'front', snat: familyOf(family).vip });
};
const throughThin = (board: Switchboard, family: Family): Talk => {
  board.reset(spec(family, thinMember(family)));
  const snat = family === 4 ? '10.2.0.2' : 'fd00:2::2';
  return new Talk(board, family, { memberPort: 'thin', snat });
};

const optionSets: readonly (readonly [string, Buffer])[] = [
  ['no-operation', Buffer.from([1, 1, 1, 1])],
  ['record route', Buffer.from([7, 7, 4, 0, 0, 0, 0, 0])],
  ['router alert', Buffer.from([0x94, 4, 0, 0])],
  ['forty bytes of them', Buffer.alloc(40, 1)],
];

const extensionSets: readonly (readonly [string, readonly { header: number; body?: Buffer }[]])[] =
  [
    ['hop-by-hop', [{ header: 0, body: Buffer.from([1, 4, 0, 0, 0, 0]) }]],
    ['a spent routing header', [{ header: 43, body: Buffer.from([4, 0, 0, 0, 0, 0]) }]],
    ['destination options', [{ header: 60, body: Buffer.from([1, 12, ...Buffer.alloc(12)]) }]],
    ['all three', [{ header: 0 }, { header: 43 }, { header: 60 }]],
  ];

/** The announced MSS of a SYN. */
const mssOf = (frame: Buffer): number => {
  const header = readPacket(frame).transport?.header ?? Buffer.alloc(0);
  const at = header.indexOf(Buffer.from([2, 4]), 20);
  return header.readUInt16BE(at + 2);
};

export const headers: readonly Case[] = [
  ...bothFamilies(
    'a VLAN tag stays on the interface that it came in on',
    (board, family) => {
      const talk = sameInterface(board, family);
      const vlan = 0x6064; // priority 3, VLAN 100
      talk.clientToMember({ flags: ['SYN'], vlan });
      talk.memberToClient({ flags: ['SYN', 'ACK'], vlan });
      talk.clientToMember({ flags: ['ACK'], vlan });
      talk.clientToMember({ payload: 'tagged', vlan });
      talk.memberToClient({ payload: 'tagged', vlan });
    },
    ['xdp'],
  ),
  ...bothFamilies(
    'a VLAN tag is taken off on the way to another interface',
    (board, family) => {
      board.reset(spec(family));
      const talk = new Talk(board, family);
      talk.clientToMember({ flags: ['SYN'], vlan: 100 });
      talk.clientToMember({ flags: ['SYN'], vlan: 100 });
    },
    ['xdp'],
  ),
  ...optionSets.map(([what, options]): Case => ({
    name: `IPv4 options (${what}) are carried both ways`,
    run: (board) => {
      board.reset(spec(4));
      const talk = new Talk(board, 4);
      const ip = { options };
      talk.clientToMember({ flags: ['SYN'], ip });
      talk.memberToClient({ flags: ['SYN', 'ACK'], ip });
      talk.clientToMember({ flags: ['ACK'], ip });
      talk.clientToMember({ payload: 'data', ip });
    },
  })),
  ...extensionSets.map(([what, extensions]): Case => ({
    name: `IPv6 extension headers (${what}) are carried both ways`,
    run: (board) => {
      board.reset(spec(6));
      const talk = new Talk(board, 6);
      const ip = { extensions };
      talk.clientToMember({ flags: ['SYN'], ip });
      talk.memberToClient({ flags: ['SYN', 'ACK'], ip });
      talk.clientToMember({ flags: ['ACK'], ip });
      talk.clientToMember({ payload: 'data', ip });
    },
  })),
  {
    name: 'IPv6 with a routing header that is not spent is left to the kernel, as RFC 8200 wants',
    run: (board) => {
      board.reset(spec(6));
      const extensions = [{ header: 43, body: Buffer.from([4, 1, ...Buffer.alloc(20)]) }];
      const frame = buildPacket(
        new Talk(board, 6).clientSpec({ flags: ['SYN'], ip: { extensions } }),
      );
      assertPassed(board.send(frame, 'front'), frame);
    },
  },
  ...bothFamilies('each TTL from 2 to 255 falls by one, with its checksum', (board, family) => {
    board.reset(spec(family));
    const talk = new Talk(board, family).connect();
    for (let ttl = 2; ttl < 256; ttl += 1) talk.clientToMember({ ip: { ttl } });
  }),
  ...bothFamilies('TTL 1 is answered with time exceeded from the VIP', (board, family) => {
    board.reset(spec(family));
    const talk = new Talk(board, family).connect();
    const content = { payload: Buffer.alloc(100, 1), ip: { ttl: 1 } };
    const expected = { 4: [11, 0], 6: [3, 0] } as const;
    assertIcmpError(talk.fromClient(content), {
      about: buildPacket(talk.clientSpec(content)),
      kind: expected[family],
    });
  }),
  ...bothFamilies('a SYN with TTL 1 is answered with time exceeded too', (board, family) => {
    board.reset(spec(family));
    const talk = new Talk(board, family);
    const content = { flags: ['SYN'], ip: { ttl: 1 } } as const;
    const expected = { 4: [11, 0], 6: [3, 0] } as const;
    assertIcmpError(talk.fromClient(content), {
      about: buildPacket(talk.clientSpec(content)),
      kind: expected[family],
    });
  }),
  ...bothFamilies('what is too big for the egress is answered with its MTU', (board, family) => {
    const talk = throughThin(board, family).connect();
    const content = { payload: Buffer.alloc(1401 - (family === 4 ? 40 : 60), 1) };
    const expected = { 4: [3, 4], 6: [2, 0] } as const;
    assertIcmpError(talk.fromClient(content), {
      about: buildPacket(talk.clientSpec(content)),
      kind: expected[family],
      rest: 1400,
    });
    talk.clientToMember({ payload: Buffer.alloc(1400 - (family === 4 ? 40 : 60), 2) });
  }),
  ...bothFamilies(
    'a super-packet passes where its segments fit',
    (board, family) => {
      board.reset(spec(family));
      const talk = new Talk(board, family).connect();
      const content = { payload: Buffer.alloc(2800, 3), flags: ['ACK', 'PSH'] } as const;
      const frame = buildPacket(talk.clientSpec(content));
      const outcome = board.send(frame, 'front', 1400);
      assert.equal(outcome.verdict, 'forward');
      assertFrame(outcome, buildPacket(talk.towardsMember(content)));
      assert.equal(board.send(frame, 'front').verdict, 'forward');
      assert.equal(board.reason('TOO_BIG'), 1);
    },
    ['tc'],
  ),
  {
    name: 'IPv4: too big without DF goes to the kernel translated, which fragments it',
    run: (board) => {
      const talk = throughThin(board, 4).connect();
      const content = { payload: Buffer.alloc(1400, 1), ip: { dontFragment: false } };
      const outcome = talk.fromClient(content);
      assert.equal(outcome.verdict, 'pass');
      const ethernet = { source: GATEWAY_MAC, destination: PORTS.front.mac };
      assertFrame(outcome, buildPacket({ ...talk.towardsMember(content), ethernet }));
    },
  },
  ...bothFamilies(
    'the MSS of a SYN is lowered to the narrower link, both ways',
    (board, family) => {
      const talk = throughThin(board, family);
      const mss = 1400 - (family === 4 ? 40 : 60);
      const syn = talk.fromClient({ flags: ['SYN'], options: mssOption(1460) });
      talk.learn(syn);
      assertFrame(
        syn,
        buildPacket(talk.towardsMember({ flags: ['SYN'], options: mssOption(mss) })),
      );
      const flags = ['SYN', 'ACK'] as const;
      const synAck = talk.fromMember({ flags, options: mssOption(1460) });
      assertFrame(synAck, buildPacket(talk.towardsClient({ flags, options: mssOption(mss) })));
    },
  ),
  ...bothFamilies('an MSS that fits is left alone', (board, family) => {
    const talk = throughThin(board, family);
    talk.clientToMember({ flags: ['SYN'], options: mssOption(1200) });
    talk.memberToClient({ flags: ['SYN', 'ACK'], options: mssOption(536) });
  }),
  ...bothFamilies('the MSS is found behind other options, at odd places too', (board, family) => {
    const talk = throughThin(board, family);
    const before = [Buffer.alloc(0), Buffer.from([1]), Buffer.from([1, 1]), Buffer.from([4, 2, 1])];
    const wanted = 1400 - (family === 4 ? 40 : 60);
    for (const [i, head] of before.entries()) {
      const next = new Talk(board, family, {
        clientPort: 41000 + i,
        memberPort: 'thin',
        snat: talk.snatAddress,
      });
      const options = (mss: number) => Buffer.concat([head, mssOption(mss), Buffer.from([1])]);
      const syn = next.fromClient({ flags: ['SYN'], options: options(1460) });
      next.learn(syn);
      assert.equal(mssOf(syn.frame), wanted, `behind ${head.length} bytes`);
      const expected = { flags: ['SYN'], options: options(wanted) } as const;
      assertFrame(syn, buildPacket(next.towardsMember(expected)));
    }
  }),
  ...bothFamilies('a SYN without MSS is left alone', (board, family) => {
    throughThin(board, family).clientToMember({ flags: ['SYN'], options: Buffer.from([3, 3, 7]) });
  }),
];
