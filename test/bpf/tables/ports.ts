// SPDX-License-Identifier: Apache-2.0
// SNAT ports: a sequence per member, never one that is in use or in quarantine.
import assert from 'node:assert/strict';
import { bothFamilies, wait, type Case } from '../support/case.js';
import type { BoardSpec } from '../support/board-spec.js';
import type { Switchboard } from '../support/switchboard.js';
import { readPacket } from '../../support/packet-reader.js';
import { Talk, type Family } from '../support/talk.js';

const members = (family: Family, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    address: family === 4 ? `10.1.0.${11 + i}` : `fd00:1::${11 + i}`,
  }));
const spec = (family: Family, count = 1, control = {}): BoardSpec => ({
  listeners: [{ members: members(family, count) }],
  control,
});
const enter = (board: Switchboard, family: Family, i: number): Talk =>
  new Talk(board, family, { clientPort: 40000 + i }).connect();
const FEW = { snat_port_min: 30000, snat_port_max: 30003 } as const;
const isRefused = (board: Switchboard, family: Family, i: number): boolean => {
  const outcome = new Talk(board, family, { clientPort: 40000 + i }).fromClient({ flags: ['SYN'] });
  assert.equal(outcome.verdict, 'forward');
  return ((readPacket(outcome.frame).transport?.flags ?? 0) & 4) !== 0;
};

export const ports: readonly Case[] = [
  ...bothFamilies(
    "a client whose port another has taken does not get the other's answers",
    (board, family) => {
      const control = { snat_port_min: 30000, snat_port_max: 30000 };
      const listeners = [{ protocol: 'udp', port: 53, members: members(family, 1) }] as const;
      board.reset({ listeners, control });
      const [first, second] = [40000, 40001].map(
        (clientPort) => new Talk(board, family, { protocol: 'udp', vipPort: 53, clientPort }),
      );
      assert.ok(first && second);
      first.clientToMember({ payload: 'unanswered' });
      second.clientToMember({ payload: 'takes the only port' });
      first.clientToMember({ payload: 'takes it back' });
      first.memberToClient({ payload: 'for the first' });
      assert.equal(first.snat.port, second.snat.port);
    },
  ),
  ...bothFamilies('ports to one member follow each other', (board, family) => {
    board.reset(spec(family));
    const got = Array.from({ length: 20 }, (_, i) => enter(board, family, i).snat.port);
    const first = got[0] ?? 0;
    assert.deepEqual(
      got,
      got.map((_, i) => 20000 + ((first - 20000 + i) % 10000)),
    );
  }),
  ...bothFamilies('all ports of the range are used, and no other', (board, family) => {
    board.reset(spec(family, 1, { snat_port_min: 30000, snat_port_max: 30015 }));
    const got = Array.from({ length: 16 }, (_, i) => enter(board, family, i).snat.port);
    assert.deepEqual(
      [...got].sort((a, b) => a - b),
      Array.from({ length: 16 }, (_, i) => 30000 + i),
    );
  }),
  ...bothFamilies('each member has the whole range', (board, family) => {
    board.reset(spec(family, 2, FEW));
    const talks = Array.from({ length: 8 }, (_, i) => enter(board, family, i));
    for (const [i, talk] of talks.entries()) talk.memberToClient({ payload: `for client ${i}` });
  }),
  ...bothFamilies('without a free port the client is refused', (board, family) => {
    board.reset(spec(family, 1, FEW));
    const talks = Array.from({ length: 4 }, (_, i) => enter(board, family, i));
    assert.ok(isRefused(board, family, 4));
    assert.equal(board.reason('NO_PORT'), 1);
    for (const talk of talks) talk.memberToClient({ payload: 'unharmed' });
  }),
  ...bothFamilies('a port of a closed flow is in quarantine', (board, family) => {
    board.reset(spec(family, 1, FEW));
    const [first] = Array.from({ length: 4 }, (_, i) => enter(board, family, i));
    assert.ok(first);
    first.clientToMember({ flags: ['RST'] });
    assert.ok(isRefused(board, family, 4));
  }),
  ...bothFamilies('and comes back when that is over', (board, family) => {
    board.reset(spec(family, 1, { ...FEW, closed_stamps: 1 }));
    const talks = Array.from({ length: 4 }, (_, i) => enter(board, family, i));
    talks[2]?.clientToMember({ flags: ['RST'] });
    wait(1400);
    const next = enter(board, family, 4);
    assert.equal(next.snat.port, talks[2]?.snat.port);
    next.memberToClient({ payload: 'for the new client' });
    talks[1]?.memberToClient({ payload: 'for the old one' });
    const late = talks[2]?.fromClient({ payload: 'of a connection that is over' });
    assert.equal(late?.verdict, 'pass', 'nobody may speak into the new connection');
  }),
  ...bothFamilies('clients with equal ports do not collide', (board, family) => {
    board.reset(spec(family));
    const seen = Array.from({ length: 50 }, (_, i) => {
      const client = family === 4 ? `198.51.100.${i + 1}` : `2001:db8:c::${i + 1}`;
      return new Talk(board, family, { client, clientPort: 50000 }).connect();
    });
    assert.equal(new Set(seen.map(({ snat }) => snat.port)).size, 50);
    for (const [i, talk] of seen.entries()) talk.memberToClient({ payload: `number ${i}` });
  }),
  ...bothFamilies('TCP and UDP count apart', (board, family) => {
    const both = members(family, 1);
    board.reset({
      listeners: [{ members: both }, { members: both, protocol: 'udp', port: 53 }],
      control: FEW,
    });
    for (let i = 0; i < 4; i += 1) {
      enter(board, family, i);
      const clientPort = 40000 + i;
      const talk = new Talk(board, family, { protocol: 'udp', vipPort: 53, clientPort });
      talk.clientToMember({ payload: 'x' });
      talk.memberToClient({ payload: 'y' });
    }
  }),
  ...bothFamilies(
    'two pools that share a member share its ports without clash',
    (board, family) => {
      const both = members(family, 1);
      board.reset({ listeners: [{ members: both }, { members: both, port: 81 }] });
      const talks = Array.from({ length: 20 }, (_, i) =>
        new Talk(board, family, { clientPort: 40000 + i, vipPort: 80 + (i & 1) }).connect(),
      );
      assert.equal(new Set(talks.map(({ snat }) => snat.port)).size, 20);
      for (const [i, talk] of talks.entries()) talk.memberToClient({ payload: `number ${i}` });
    },
  ),
  ...bothFamilies(
    'a client that comes back at once on its own port keeps working',
    (board, family) => {
      board.reset(spec(family));
      for (let round = 0; round < 12; round += 1) {
        const talk = enter(board, family, 0);
        talk.memberToClient({ payload: `round ${round}` });
        talk.clientToMember({ flags: ['FIN', 'ACK'] });
        talk.memberToClient({ flags: ['FIN', 'ACK'] });
        talk.clientToMember({ flags: ['ACK'] });
      }
    },
  ),
];
