// SPDX-License-Identifier: Apache-2.0
// UDP through the datapath.
import assert from 'node:assert/strict';
import { buildPacket } from '../../support/packet.js';
import { readPacket } from '../../support/packet-reader.js';
import { enums } from '../../../agent/core/plan/layout.gen.js';
import { bothFamilies, type Case } from '../support/case.js';
import type { BoardSpec } from '../support/board-spec.js';
import type { Switchboard } from '../support/switchboard.js';
import { assertPassed, familyOf, Talk, type Family, type TalkSpec } from '../support/talk.js';

const { LISTENER_LIVE, LISTENER_KEEP_PORT } = enums.listener_flag;

const spec = (family: Family, flags: number = LISTENER_LIVE): BoardSpec => ({
  listeners: [
    {
      protocol: 'udp',
      port: 53,
      flags,
      members: [{ address: familyOf(family).member, port: 5353 }],
    },
  ],
});
const udp = (board: Switchboard, family: Family, more: TalkSpec = {}): Talk =>
  new Talk(board, family, { protocol: 'udp', vipPort: 53, ...more });

/** A payload that makes the checksum of what leaves 0, which UDP writes as all ones. */
const payloadForZero = (talk: Talk): Buffer => {
  const payload = Buffer.from([0, 0]);
  const probe = buildPacket(talk.towardsMember({ payload }));
  // The sum without the payload's word; the word that completes it to all ones makes the checksum 0.
  payload.writeUInt16BE(readPacket(probe).transport?.checksum ?? 0);
  return payload;
};

export const udpTable: readonly Case[] = [
  ...bothFamilies('datagrams flow both ways from the first on', (board, family) => {
    board.reset(spec(family));
    const talk = udp(board, family);
    for (const length of [0, 1, 2, 17, 512, 1400]) {
      talk.clientToMember({ payload: Buffer.alloc(length, length) });
      talk.memberToClient({ payload: Buffer.alloc(length, ~length) });
    }
  }),
  ...bothFamilies('the member may answer several times, the client too', (board, family) => {
    board.reset(spec(family));
    const talk = udp(board, family);
    for (const payload of ['a', 'b', 'c']) talk.clientToMember({ payload });
    for (const payload of ['d', 'e', 'f']) talk.memberToClient({ payload });
    assert.equal(board.flowCount(family === 4 ? 'flows4' : 'flows6'), 2);
  }),
  {
    name: 'IPv4: a datagram without checksum stays without, both ways',
    run: (board) => {
      board.reset(spec(4));
      const talk = udp(board, 4);
      for (const payload of ['first', 'second']) {
        talk.clientToMember({ payload, checksum: 0 });
        talk.memberToClient({ payload, checksum: 0 });
      }
    },
  },
  ...bothFamilies('a checksum that comes out as 0 is sent as all ones', (board, family) => {
    board.reset(spec(family));
    const talk = udp(board, family);
    talk.clientToMember({ payload: 'xx' });
    const payload = payloadForZero(talk);
    const out = talk.clientToMember({ payload });
    assert.equal(readPacket(out.frame).transport?.checksum, 0xffff);
    talk.memberToClient({ payload: 'xx' });
    assert.equal(readPacket(talk.clientToMember({ payload }).frame).transport?.checksum, 0xffff);
  }),
  ...bothFamilies('the client keeps its port where the listener says so', (board, family) => {
    board.reset(spec(family, LISTENER_LIVE | LISTENER_KEEP_PORT));
    const talk = udp(board, family, { clientPort: 23456 });
    talk.clientToMember({ payload: 'x' });
    assert.equal(talk.snat.port, 23456);
    talk.memberToClient({ payload: 'y' });
  }),
  ...bothFamilies('a kept port that is taken already gives way to another', (board, family) => {
    board.reset(spec(family, LISTENER_LIVE | LISTENER_KEEP_PORT));
    const other = family === 4 ? '198.51.100.8' : '2001:db8:c::8';
    const first = udp(board, family, { clientPort: 23456 });
    const second = udp(board, family, { clientPort: 23456, client: other });
    first.clientToMember();
    second.clientToMember();
    assert.notEqual(second.snat.port, 23456);
    first.memberToClient({ payload: 'for the first' });
    second.memberToClient({ payload: 'for the second' });
  }),
  ...bothFamilies('a port outside our range is not kept', (board, family) => {
    board.reset(spec(family, LISTENER_LIVE | LISTENER_KEEP_PORT));
    const talk = udp(board, family, { clientPort: 1234 });
    talk.clientToMember();
    assert.ok(talk.snat.port >= 20000 && talk.snat.port <= 29999);
  }),
  ...bothFamilies(
    'a client that speaks again after 3,000 others keeps member and port',
    (board, family) => {
      board.reset(spec(family));
      const talk = udp(board, family);
      talk.clientToMember({ payload: 'one way' });
      const { member, snat } = talk;
      for (let i = 0; i < 3000; i += 1)
        udp(board, family, { clientPort: 10000 + i }).fromClient({ payload: 'also' });
      talk.clientToMember({ payload: 'one way still' });
      assert.deepEqual([talk.member, talk.snat], [member, snat]);
    },
  ),
  ...bothFamilies('TCP to a UDP service is not ours', (board, family) => {
    board.reset(spec(family));
    const frame = buildPacket(
      new Talk(board, family, { vipPort: 53 }).clientSpec({ flags: ['SYN'] }),
    );
    assertPassed(board.send(frame, 'front'), frame);
  }),
];
