// SPDX-License-Identifier: Apache-2.0
// Flows that are not to be, and members that do not want them.
import assert from 'node:assert/strict';
import { buildPacket } from '../../support/packet.js';
import { readPacket } from '../../support/packet-reader.js';
import { bothFamilies, wait, type Case } from '../support/case.js';
import { assertIcmpError } from '../support/icmp-error.js';
import { FIRST_NUMBER, type BoardSpec, type ListenerSpec } from '../support/board-spec.js';
import type { Switchboard } from '../support/switchboard.js';
import { assertDropped, assertFrame, Talk, type Family } from '../support/talk.js';

const members = (family: Family, count = 2) =>
  Array.from({ length: count }, (_, i) => ({
    address: family === 4 ? `10.1.0.${11 + i}` : `fd00:1::${11 + i}`,
  }));
const spec = (family: Family, more: Partial<ListenerSpec> = {}, control = {}): BoardSpec => ({
  listeners: [{ members: members(family), ...more }],
  control,
});
/** Further connections of the same client. */
const talkOn = (board: Switchboard, family: Family, i: number): Talk =>
  new Talk(board, family, { clientPort: 40000 + i });
const SYN = { flags: ['SYN'] as const };

const refusal = (talk: Talk, sequence: number, payload = ''): Buffer => {
  const { ethernet } = talk.clientSpec();
  return buildPacket({
    ethernet: { source: ethernet.destination, destination: ethernet.source },
    ip: { source: talk.vip.address, destination: talk.client.address },
    transport: {
      kind: 'tcp',
      source: talk.vip.port,
      destination: talk.client.port,
      flags: ['RST', 'ACK'],
      sequence: 0,
      acknowledgement: (sequence + 1 + payload.length) >>> 0,
      window: 0,
    },
  });
};

const TWO = (family: Family): ListenerSpec['members'] => members(family);

export const refusals: readonly Case[] = [
  ...bothFamilies('a SYN is refused by RST when the pool has no member', (board, family) => {
    board.reset(spec(family, { members: [] }));
    const talk = new Talk(board, family);
    for (const sequence of [0, 1000, 0xffffffff]) {
      const outcome = talk.fromClient({ ...SYN, sequence });
      assert.equal(outcome.verdict, 'forward');
      assertFrame(outcome, refusal(talk, sequence));
    }
    assert.equal(board.reason('RST_SENT'), 3);
  }),
  ...bothFamilies('the RST to a SYN with data acknowledges the data', (board, family) => {
    board.reset(spec(family, { members: [] }));
    const talk = new Talk(board, family);
    const outcome = talk.fromClient({ ...SYN, sequence: 5, payload: 'early' });
    assertFrame(outcome, refusal(talk, 5, 'early'));
  }),
  ...bothFamilies(
    'a datagram is answered port unreachable when the pool has no member',
    (board, family) => {
      board.reset(spec(family, { members: [], protocol: 'udp', port: 53 }));
      const talk = new Talk(board, family, { protocol: 'udp', vipPort: 53 });
      const expected = { 4: [3, 3], 6: [1, 4] } as const;
      for (const length of [0, 1, 11, 12, 13, 600])
        assertIcmpError(talk.fromClient({ payload: Buffer.alloc(length, 9) }), {
          about: buildPacket(talk.clientSpec({ payload: Buffer.alloc(length, 9) })),
          kind: expected[family],
        });
    },
  ),
  ...bothFamilies(
    "a member's RST to a SYN is swallowed, the next SYN goes elsewhere",
    (board, family) => {
      board.reset(spec(family));
      const talk = new Talk(board, family);
      talk.clientToMember({ ...SYN, sequence: 1 });
      const first = talk.member.address;
      assertDropped(talk.fromMember({ flags: ['RST', 'ACK'], acknowledgement: 2 }));
      assert.equal(board.reason('MEMBER_REFUSED'), 1);
      talk.connect();
      assert.notEqual(talk.member.address, first);
    },
  ),
  ...bothFamilies('a member that refused is avoided by others for a while', (board, family) => {
    board.reset(spec(family));
    const talk = new Talk(board, family);
    talk.clientToMember({ ...SYN });
    const refusing = talk.member.address;
    assertDropped(talk.fromMember({ flags: ['RST', 'ACK'] }));
    for (let i = 1; i < 9; i += 1) {
      const next = talkOn(board, family, i);
      next.clientToMember({ ...SYN });
      assert.notEqual(next.member.address, refusing);
    }
  }),
  ...bothFamilies('and is tried again when the while is over', (board, family) => {
    board.reset(spec(family, {}, { suspect_stamps: 1 }));
    const talk = new Talk(board, family);
    talk.clientToMember({ ...SYN });
    const refusing = talk.member.address;
    assertDropped(talk.fromMember({ flags: ['RST', 'ACK'] }));
    wait(1300);
    const met = [1, 2].map((i) => {
      const next = talkOn(board, family, i);
      next.clientToMember({ ...SYN });
      return next.member.address;
    });
    assert.ok(met.includes(refusing), 'the member came back');
  }),
  ...bothFamilies(
    'the only member speaks for itself: its RST reaches the client',
    (board, family) => {
      board.reset(spec(family, { members: members(family, 1) }));
      const talk = new Talk(board, family);
      talk.clientToMember({ ...SYN, sequence: 1 });
      talk.memberToClient({ flags: ['RST', 'ACK'], sequence: 0, acknowledgement: 2 });
    },
  ),
  ...bothFamilies(
    'when every member has refused, the client hears it in the end',
    (board, family) => {
      board.reset(spec(family));
      const talk = new Talk(board, family);
      let heard = false;
      for (let attempt = 0; attempt < 8 && !heard; attempt += 1) {
        const outcome = talk.fromClient({ ...SYN });
        talk.learn(outcome);
        heard = talk.fromMember({ flags: ['RST', 'ACK'] }).verdict === 'forward';
      }
      assert.ok(heard, 'eight refusals and no answer');
    },
  ),
  ...bothFamilies(
    'a SYN that nobody answers goes to another member when repeated late',
    (board, family) => {
      board.reset(spec(family, {}, { reselect_stamps: 1 }));
      const talk = new Talk(board, family);
      talk.clientToMember({ ...SYN });
      const silent = talk.member.address;
      wait(1300);
      talk.clientToMember({ ...SYN });
      assert.notEqual(talk.member.address, silent);
      talk.connect();
    },
  ),
  ...bothFamilies('a SYN repeated soon stays where it was', (board, family) => {
    board.reset(spec(family, {}, { reselect_stamps: 200 }));
    const talk = new Talk(board, family);
    talk.clientToMember({ ...SYN });
    const { member, snat } = talk;
    wait(700);
    talk.clientToMember({ ...SYN });
    assert.deepEqual([talk.member, talk.snat], [member, snat]);
  }),
  ...bothFamilies("a member's RST after its SYN-ACK reaches the client", (board, family) => {
    board.reset(spec(family));
    const talk = new Talk(board, family);
    talk.clientToMember({ ...SYN });
    talk.memberToClient({ flags: ['SYN', 'ACK'] });
    talk.memberToClient({ flags: ['RST', 'ACK'] });
  }),
  ...bothFamilies(
    'above the connection limit a SYN is dropped, until one closes',
    (board, family) => {
      board.reset(spec(family, { connectionLimit: 2 }));
      const [first, second, third] = [0, 1, 2].map((i) => talkOn(board, family, i));
      assert.ok(first && second && third);
      first.connect();
      second.connect();
      for (let repeat = 0; repeat < 3; repeat += 1) assertDropped(third.fromClient({ ...SYN }));
      assert.equal(board.reason('LIMIT'), 3);
      first.clientToMember({ payload: 'established flows go on' });
      second.clientToMember({ flags: ['FIN', 'ACK'] });
      second.memberToClient({ flags: ['FIN', 'ACK'] });
      third.connect();
    },
  ),
  ...bothFamilies('two ways of closing free one place, not two', (board, family) => {
    board.reset(spec(family, { connectionLimit: 2 }));
    const [first, second, third, fourth] = [0, 1, 2, 3].map((i) => talkOn(board, family, i));
    assert.ok(first && second && third && fourth);
    first.connect();
    second.connect();
    first.clientToMember({ flags: ['FIN', 'ACK'] });
    first.memberToClient({ flags: ['FIN', 'ACK'] });
    first.clientToMember({ flags: ['RST'] });
    first.memberToClient({ flags: ['RST'] });
    third.connect();
    assertDropped(fourth.fromClient({ ...SYN }));
  }),
  ...bothFamilies('a full member is passed over', (board, family) => {
    const [first, second] = TWO(family);
    assert.ok(first && second);
    board.reset(spec(family, { members: [{ ...first, limit: 1 }, second] }));
    const met = [0, 1, 2, 3, 4].map((i) => talkOn(board, family, i).connect().member.address);
    assert.equal(met.filter((address) => address === first.address).length, 1);
  }),
  ...bothFamilies('where every member is full, the client is refused', (board, family) => {
    const full = TWO(family).map((member) => ({ ...member, limit: 1 }));
    board.reset(spec(family, { members: full }));
    talkOn(board, family, 0).connect();
    talkOn(board, family, 1).connect();
    const talk = talkOn(board, family, 2);
    const outcome = talk.fromClient({ ...SYN, sequence: 9 });
    assert.equal(outcome.verdict, 'forward');
    assertFrame(outcome, refusal(talk, 9));
  }),
  ...bothFamilies(
    'sources outside the access list are dropped, those inside served',
    (board, family) => {
      const allowed =
        family === 4
          ? ['198.51.100.0/28', '203.0.113.9/32']
          : ['2001:db8:c::/64', '2001:db8:9::9/128'];
      board.reset(spec(family, { allowed }));
      const inside =
        family === 4 ? ['198.51.100.7', '203.0.113.9'] : ['2001:db8:c::7', '2001:db8:9::9'];
      const outside =
        family === 4
          ? ['198.51.100.16', '203.0.113.8', '10.0.0.11']
          : ['2001:db8:d::7', '2001:db8:9::8', 'fd00:0::11'];
      for (const client of inside) new Talk(board, family, { client }).clientToMember({ ...SYN });
      for (const client of outside)
        assertDropped(new Talk(board, family, { client }).fromClient({ ...SYN }));
      assert.equal(board.reason('ACL'), outside.length);
    },
  ),
  ...bothFamilies('an access list is its own listener’s only', (board, family) => {
    const allowed = family === 4 ? ['203.0.113.0/24'] : ['2001:db8:9::/48'];
    const both = members(family);
    board.reset({
      listeners: [
        { members: both, allowed },
        { members: both, port: 81 },
      ],
    });
    assertDropped(new Talk(board, family).fromClient({ ...SYN }));
    new Talk(board, family, { vipPort: 81 }).clientToMember({ ...SYN });
  }),
  ...bothFamilies('an access list without entries admits nobody', (board, family) => {
    board.reset(spec(family, { allowed: [] }));
    assertDropped(new Talk(board, family).fromClient({ ...SYN }));
  }),
  ...bothFamilies(
    'the guard drops new flows above its limit, established ones go on',
    (board, family) => {
      board.reset(spec(family));
      const talk = talkOn(board, family, 0).connect();
      board.setControl({ guard_limit: 3, guard_share: 2 });
      const verdicts = Array.from({ length: 40 }, (_, i) => {
        talk.clientToMember({ payload: 'through the flood' });
        return talkOn(board, family, i + 1).fromClient({ ...SYN }).verdict;
      });
      const through = verdicts.filter((verdict) => verdict === 'forward').length;
      assert.ok(through >= 3 && through < 20, `${through} of 40 came through`);
      assert.equal(verdicts.filter((verdict) => verdict === 'drop').length, 40 - through);
      assert.equal(board.reason('GUARD'), 40 - through);
    },
  ),
  ...bothFamilies('the guard lets a listener below its share through', (board, family) => {
    const both = members(family);
    board.reset({ listeners: [{ members: both }, { members: both, port: 81 }] });
    board.setControl({ guard_limit: 3, guard_share: 2 });
    for (let i = 0; i < 30; i += 1) talkOn(board, family, i).fromClient({ ...SYN });
    new Talk(board, family, { vipPort: 81 }).clientToMember({ ...SYN });
  }),
  ...bothFamilies(
    'a full flow table opens nothing more, and keeps what it has',
    (board, family) => {
      board.reset(spec(family));
      const capacity = board.map(family === 4 ? 'flows4' : 'flows6').info.maxEntries / 2;
      const talks = Array.from({ length: capacity }, (_, i) =>
        new Talk(board, family, { clientPort: 10000 + i }).connect(),
      );
      const late = new Talk(board, family, { clientPort: 9999 });
      late.clientToMember({ ...SYN });
      late.memberToClient({ flags: ['SYN', 'ACK'] });
      assert.notEqual(late.fromClient({ flags: ['ACK'] }).verdict, 'forward');
      assert.ok(board.reason('TABLE_FULL') >= 1);
      for (const talk of [talks[0], talks.at(-1)]) {
        talk?.clientToMember({ payload: 'unharmed' });
        talk?.memberToClient({ payload: 'as well' });
      }
    },
  ),
  ...bothFamilies('removed from the listeners, a pool refuses', (board, family) => {
    board.reset(spec(family));
    board.setSlots(FIRST_NUMBER, 'roundRobin', []);
    const outcome = new Talk(board, family).fromClient({ ...SYN });
    assert.equal(readPacket(outcome.frame).transport?.flags, 0x14);
  }),
];
