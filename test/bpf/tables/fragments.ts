// SPDX-License-Identifier: Apache-2.0
// Fragmented datagrams: the first piece has the ports, the others find them by the datagram's number.
import assert from 'node:assert/strict';
import { buildFragments, buildPacket } from '../../support/packet.js';
import { bothFamilies, type Case } from '../support/case.js';
import type { BoardSpec } from '../support/board-spec.js';
import type { Switchboard } from '../support/switchboard.js';
import { assertDropped, assertFrame, familyOf, Talk, type Content } from '../support/talk.js';
import type { Family } from '../support/talk.js';

const spec = (family: Family): BoardSpec => ({
  listeners: [
    { members: [{ address: familyOf(family).member }] },
    { protocol: 'udp', port: 53, members: [{ address: familyOf(family).member }] },
  ],
});
const SIZE = 1400;
const datagram = (id: number): Content => ({
  payload: Buffer.alloc(3000, id),
  ip: { id, dontFragment: false },
});

const udp = (board: Switchboard, family: Family, clientPort = 40000): Talk =>
  new Talk(board, family, { protocol: 'udp', vipPort: 53, clientPort });
const opened = (board: Switchboard, family: Family): Talk => {
  board.reset(spec(family));
  const talk = udp(board, family);
  talk.clientToMember({ payload: 'x' });
  talk.memberToClient({ payload: 'y' });
  return talk;
};

/** Each piece, in `order`, must come out as the translated datagram's piece of the same number. */
const carry = (
  talk: Talk,
  content: Content,
  way: 'up' | 'down',
  order: readonly number[],
): void => {
  const [from, to, port] =
    way === 'up'
      ? ([talk.clientSpec(content), talk.towardsMember(content), talk.clientSide] as const)
      : ([talk.memberSpec(content), talk.towardsClient(content), talk.memberSide] as const);
  const sent = buildFragments(from, SIZE);
  const expected = buildFragments(to, SIZE);
  for (const i of order) {
    const outcome = talk.board.send(sent[i] ?? Buffer.alloc(0), port);
    assert.equal(outcome.verdict, 'forward', `piece ${i}: ${outcome.verdict}`);
    assertFrame(outcome, expected[i] ?? Buffer.alloc(0));
  }
};

export const fragments: readonly Case[] = [
  ...bothFamilies(
    'all pieces reach the member, and those of its answer the client',
    (board, family) => {
      const talk = opened(board, family);
      carry(talk, datagram(7), 'up', [0, 1, 2]);
      carry(talk, datagram(8), 'down', [0, 1, 2]);
    },
  ),
  ...bothFamilies('later pieces may come in any order behind the first', (board, family) => {
    carry(opened(board, family), datagram(9), 'up', [0, 2, 1]);
  }),
  ...bothFamilies('two datagrams between the same machines do not mix', (board, family) => {
    const talk = opened(board, family);
    const other = udp(board, family, 40001);
    other.clientToMember({ payload: 'x' });
    const [first, second] = [datagram(10), datagram(11)];
    carry(talk, first, 'up', [0]);
    carry(other, second, 'up', [0]);
    carry(talk, first, 'up', [1]);
    carry(other, second, 'up', [1]);
    carry(talk, first, 'up', [2]);
    carry(other, second, 'up', [2]);
  }),
  ...bothFamilies('a first piece may open the flow', (board, family) => {
    board.reset(spec(family));
    const talk = udp(board, family);
    const content = datagram(12);
    const sent = buildFragments(talk.clientSpec(content), SIZE);
    talk.learn(board.send(sent[0] ?? Buffer.alloc(0), 'front'));
    carry(talk, content, 'up', [1, 2]);
    talk.memberToClient({ payload: 'answer' });
  }),
  ...bothFamilies('a later piece without its first is dropped and counted', (board, family) => {
    const talk = opened(board, family);
    const sent = buildFragments(talk.clientSpec(datagram(13)), SIZE);
    assertDropped(board.send(sent[1] ?? Buffer.alloc(0), 'front'));
    assert.equal(board.reason('FRAGMENT_ORPHAN'), 1);
  }),
  ...bothFamilies('once the first comes, the sender may repeat the others', (board, family) => {
    const talk = opened(board, family);
    const content = datagram(14);
    const sent = buildFragments(talk.clientSpec(content), SIZE);
    assertDropped(board.send(sent[2] ?? Buffer.alloc(0), 'front'));
    carry(talk, content, 'up', [0, 1, 2]);
  }),
  ...bothFamilies('a fragmented TCP segment is carried too', (board, family) => {
    board.reset(spec(family));
    const talk = new Talk(board, family).connect();
    carry(talk, datagram(15), 'up', [0, 1, 2]);
    carry(talk, datagram(16), 'down', [0, 1, 2]);
  }),
  {
    name: 'IPv6: an atomic fragment is a whole packet (RFC 6946)',
    run: (board) => {
      board.reset(spec(6));
      const talk = udp(board, 6);
      const ip = { id: 17, fragment: { offset: 0, more: false } };
      talk.clientToMember({ payload: 'atomic', ip });
      talk.memberToClient({ payload: 'whole' });
      talk.clientToMember({ payload: 'again', ip });
    },
  },
  {
    name: 'IPv4: pieces of an unfragmentable packet keep the DF bit as it is',
    run: (board) => {
      const talk = opened(board, 4);
      for (const dontFragment of [true, false])
        talk.clientToMember({ payload: 'x', ip: { dontFragment, id: 18 } });
    },
  },
  ...bothFamilies('pieces for an address that is not ours pass', (board, family) => {
    board.reset(spec(family));
    const vip = family === 4 ? '10.0.0.77' : 'fd00:0::77';
    const talk = new Talk(board, family, { protocol: 'udp', vip, vipPort: 53 });
    for (const piece of buildFragments(talk.clientSpec(datagram(19)), SIZE))
      assert.equal(board.send(piece, 'front').verdict, 'pass');
  }),
  ...bothFamilies(
    'pieces for a port of the VIP that is not ours reach the kernel whole',
    (board, family) => {
      board.reset(spec(family));
      const talk = new Talk(board, family, { protocol: 'udp', vipPort: 99 });
      for (const [i, piece] of buildFragments(talk.clientSpec(datagram(20)), SIZE).entries())
        assert.equal(board.send(piece, 'front').verdict, 'pass', `piece ${i}`);
      const whole = buildPacket(talk.clientSpec({ payload: 'x' }));
      assert.equal(board.send(whole, 'front').verdict, 'pass');
    },
  ),
];
