// SPDX-License-Identifier: Apache-2.0
// TCP through the datapath: every byte of a connection's packets, in both directions.
import assert from 'node:assert/strict';
import { buildPacket, mssOption } from '../../support/packet.js';
import { readPacket } from '../../support/packet-reader.js';
import { bothFamilies, type Case } from '../support/case.js';
import type { BoardSpec } from '../support/board-spec.js';
import type { Switchboard } from '../support/switchboard.js';
import { assertPassed, Talk, type Family } from '../support/talk.js';

const members = (family: Family) =>
  [11, 12].map((host) => ({ address: family === 4 ? `10.1.0.${host}` : `fd00:1::${host}` }));
const spec = (family: Family): BoardSpec => ({ listeners: [{ members: members(family) }] });
const open = (board: Switchboard, family: Family): Talk => {
  board.reset(spec(family));
  return new Talk(board, family).connect();
};

export const tcp: readonly Case[] = [
  ...bothFamilies('a SYN goes to the first member from a port of our range', (board, family) => {
    board.reset(spec(family));
    const talk = new Talk(board, family);
    talk.clientToMember({ flags: ['SYN'], options: mssOption(1400), sequence: 7 });
    assert.deepEqual(talk.member, { address: members(family)[0]?.address, port: 8080 });
    assert.ok(talk.snat.port >= 20000 && talk.snat.port <= 29999, `port ${talk.snat.port}`);
  }),
  ...bothFamilies('SYN-ACK and ACK complete the handshake', (board, family) => {
    open(board, family);
    assert.equal(board.flowCount(family === 4 ? 'flows4' : 'flows6'), 2);
  }),
  ...bothFamilies('data flows both ways, odd lengths and large ones too', (board, family) => {
    const talk = open(board, family);
    for (const length of [0, 1, 2, 3, 63, 64, 999, 1400]) {
      const payload = Buffer.alloc(length, length);
      talk.clientToMember({ flags: ['ACK', 'PSH'], payload, sequence: 1001 + length });
      talk.memberToClient({ flags: ['ACK'], payload, sequence: 5001 + length });
    }
  }),
  ...bothFamilies('TCP options and the traffic class survive', (board, family) => {
    const talk = open(board, family);
    const options = Buffer.from('0101080a00000001000000020101050a0000000100000002', 'hex');
    talk.clientToMember({ flags: ['ACK'], options, payload: 'x', ip: { tos: 0x48 } });
    talk.memberToClient({ flags: ['ACK'], options, payload: 'y', ip: { tos: 0x03 } });
  }),
  ...bothFamilies('FIN both ways is carried, and the last ACK', (board, family) => {
    const talk = open(board, family);
    talk.clientToMember({ flags: ['FIN', 'ACK'], sequence: 1001 });
    talk.memberToClient({ flags: ['ACK'], sequence: 5001, acknowledgement: 1002 });
    talk.memberToClient({ flags: ['FIN', 'ACK'], sequence: 5001, acknowledgement: 1002 });
    talk.clientToMember({ flags: ['ACK'], sequence: 1002, acknowledgement: 5002 });
  }),
  ...bothFamilies('the other side goes on sending after one FIN', (board, family) => {
    const talk = open(board, family);
    talk.clientToMember({ flags: ['FIN', 'ACK'], sequence: 1001 });
    for (const payload of ['a', 'bb', 'ccc'])
      talk.memberToClient({ flags: ['ACK', 'PSH'], payload });
  }),
  ...bothFamilies('RST of the client reaches the member', (board, family) => {
    open(board, family).clientToMember({ flags: ['RST'], sequence: 1001 });
  }),
  ...bothFamilies('RST of the member reaches the client', (board, family) => {
    open(board, family).memberToClient({ flags: ['RST', 'ACK'], sequence: 5001 });
  }),
  ...bothFamilies('a new SYN after the end opens a new flow', (board, family) => {
    const talk = open(board, family);
    talk.clientToMember({ flags: ['FIN', 'ACK'], sequence: 1001 });
    talk.memberToClient({ flags: ['FIN', 'ACK'], sequence: 5001 });
    talk.clientToMember({ flags: ['ACK'], sequence: 1002 });
    new Talk(board, family).connect();
  }),
  ...bothFamilies('a SYN after RST opens a new flow', (board, family) => {
    open(board, family).clientToMember({ flags: ['RST'], sequence: 1001 });
    new Talk(board, family).connect();
  }),
  ...bothFamilies('a repeated SYN goes to the same member from the same port', (board, family) => {
    board.reset(spec(family));
    const talk = new Talk(board, family);
    talk.clientToMember({ flags: ['SYN'] });
    const first = [talk.member, talk.snat];
    talk.clientToMember({ flags: ['SYN'] });
    assert.deepEqual([talk.member, talk.snat], first);
  }),
  ...bothFamilies('a packet of no known flow that opens none is passed', (board, family) => {
    board.reset(spec(family));
    for (const flags of [['ACK'], ['FIN', 'ACK'], ['RST'], ['SYN', 'ACK']] as const) {
      const frame = buildPacket(new Talk(board, family).clientSpec({ flags }));
      assertPassed(board.send(frame, 'front'), frame);
    }
  }),
  ...bothFamilies(
    'a SYN on a live flow is carried on it: the member knows what to say',
    (board, family) => {
      const talk = open(board, family);
      const { member, snat } = talk;
      talk.clientToMember({ flags: ['SYN'], sequence: 99 });
      assert.deepEqual([talk.member, talk.snat], [member, snat]);
      talk.memberToClient({ flags: ['ACK'], sequence: 5001, acknowledgement: 1001 });
      talk.clientToMember({ payload: 'still alive' });
    },
  ),
  ...bothFamilies('a SYN that asks for ECN opens a flow, and keeps its bits', (board, family) => {
    board.reset(spec(family));
    const frame = buildPacket(new Talk(board, family).clientSpec({ flags: ['SYN'] }));
    const tcp = 14 + (family === 4 ? 20 : 40);
    const ECE_CWR = 0xc0;
    frame.writeUInt8(frame.readUInt8(tcp + 13) | ECE_CWR, tcp + 13);
    const sum = (~frame.readUInt16BE(tcp + 16) & 0xffff) + ECE_CWR;
    frame.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, tcp + 16);
    const outcome = board.send(frame, 'front');
    assert.equal(outcome.verdict, 'forward');
    const { transport } = readPacket(outcome.frame);
    assert.equal(transport?.flags, 0xc2);
    assert.ok(transport.checksumRight);
  }),
  ...bothFamilies('checksums stay right for every low byte of a sequence', (board, family) => {
    const talk = open(board, family);
    for (let low = 0; low < 256; low += 1)
      talk.clientToMember({ sequence: 0xffffff00 + low, acknowledgement: low * 257, payload: 'p' });
  }),
];
