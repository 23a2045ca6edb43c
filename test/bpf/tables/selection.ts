// SPDX-License-Identifier: Apache-2.0
// Which member a new flow gets.
import assert from 'node:assert/strict';
import { enums } from '../../../agent/core/plan/layout.gen.js';
import { bothFamilies, wait, type Case } from '../support/case.js';
import { FIRST_NUMBER, type ListenerSpec } from '../support/board-spec.js';
import type { Switchboard } from '../support/switchboard.js';
import { Talk, type Family } from '../support/talk.js';

const { MEMBER_PRESENT } = enums.member_flag;
const hosts = (family: Family, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    address: family === 4 ? `10.1.0.${11 + i}` : `fd00:1::${11 + i}`,
  }));
const listener = (family: Family, count: number, more: Partial<ListenerSpec> = {}) => ({
  listeners: [{ members: hosts(family, count), ...more }],
});
const client = (family: Family, host: number): string =>
  family === 4 ? `198.51.100.${host}` : `2001:db8:c::${host.toString(16)}`;

/** Number of the member that a new connection gets, as its place in the pool. */
const place = (talk: Talk): number => Number(talk.member.address.split(/[.:]/).at(-1)) - 11;
const knock = (board: Switchboard, family: Family, clientPort: number, from?: string): number => {
  const talk = new Talk(board, family, { clientPort, ...(from ? { client: from } : {}) });
  talk.clientToMember({ flags: ['SYN'] });
  return place(talk);
};
const enter = (board: Switchboard, family: Family, clientPort: number): Talk =>
  new Talk(board, family, { clientPort }).connect();
const leave = (talk: Talk): void => {
  talk.clientToMember({ flags: ['FIN', 'ACK'] });
  talk.memberToClient({ flags: ['FIN', 'ACK'] });
};
const count = (places: readonly number[], of: number): number =>
  places.filter((found) => found === of).length;

/** Slots of a pool of `n` members, weight 1 each, numbered as the switchboard numbers them. */
const slotsOf = (n: number) => Array.from({ length: n }, (_, i) => [FIRST_NUMBER + i, 1] as const);

export const selection: readonly Case[] = [
  ...bothFamilies('round robin follows the order of the slots exactly', (board, family) => {
    const order = [0, 2, 0, 1, 0, 2];
    board.reset(listener(family, 3, { slots: order.map((i) => [i, 1] as const) }));
    const met = Array.from({ length: 18 }, (_, i) => knock(board, family, 40000 + i));
    assert.deepEqual(met, [...order, ...order, ...order]);
  }),
  ...bothFamilies('round robin by UDP takes turns as well', (board, family) => {
    board.reset(listener(family, 3, { protocol: 'udp', port: 53 }));
    const met = Array.from({ length: 9 }, (_, i) => {
      const talk = new Talk(board, family, { protocol: 'udp', vipPort: 53, clientPort: 40000 + i });
      talk.clientToMember({ payload: 'x' });
      return place(talk);
    });
    assert.deepEqual(met, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
  }),
  ...bothFamilies(
    'a member taken out of the slots gets no new flow, its old ones stay',
    (board, family) => {
      board.reset(listener(family, 2));
      const talk = enter(board, family, 40000);
      assert.equal(place(talk), 0);
      board.setSlots(FIRST_NUMBER, 'roundRobin', [[FIRST_NUMBER + 1, 1]]);
      const met = Array.from({ length: 6 }, (_, i) => knock(board, family, 40001 + i));
      assert.equal(count(met, 1), 6);
      talk.clientToMember({ payload: 'still here' });
      talk.memberToClient({ payload: 'so am I' });
    },
  ),
  ...bothFamilies('least connections fills the lightest member', (board, family) => {
    board.reset(listener(family, 3, { algorithm: 'leastConnections' }));
    const talks = Array.from({ length: 9 }, (_, i) => enter(board, family, 40000 + i));
    const met = talks.map(place);
    assert.deepEqual(
      [0, 1, 2].map((i) => count(met, i)),
      [3, 3, 3],
    );
    for (const talk of talks.filter((each) => place(each) === 1)) leave(talk);
    const next = Array.from({ length: 3 }, (_, i) => place(enter(board, family, 41000 + i)));
    assert.deepEqual(next, [1, 1, 1]);
  }),
  ...bothFamilies('least connections goes by weight', (board, family) => {
    const slots = [
      [0, 30],
      [1, 10],
    ] as const;
    board.reset(listener(family, 2, { algorithm: 'leastConnections', slots }));
    const met = Array.from({ length: 40 }, (_, i) => place(enter(board, family, 40000 + i)));
    assert.ok(Math.abs(count(met, 0) - 30) <= 1, `${count(met, 0)} of 40 to the heavy one`);
  }),
  ...bothFamilies('least connections without weights counts flows alone', (board, family) => {
    const slots = [
      [0, 0],
      [1, 0],
    ] as const;
    board.reset(listener(family, 2, { algorithm: 'leastConnections', slots }));
    const met = Array.from({ length: 10 }, (_, i) => place(enter(board, family, 40000 + i)));
    assert.deepEqual([count(met, 0), count(met, 1)], [5, 5]);
  }),
  ...bothFamilies('by source hash a client always meets the same member', (board, family) => {
    const slots = Array.from({ length: 251 }, (_, i) => [i % 5, 1] as const);
    board.reset(listener(family, 5, { algorithm: 'sourceHash', slots }));
    for (let host = 1; host <= 40; host += 1) {
      const met = [1, 2, 3, 4].map((i) =>
        knock(board, family, 40000 + host * 10 + i, client(family, host)),
      );
      assert.equal(new Set(met).size, 1, `client ${host} met ${met.join(', ')}`);
    }
  }),
  ...bothFamilies('by source hash clients spread over all members', (board, family) => {
    const slots = Array.from({ length: 251 }, (_, i) => [i % 5, 1] as const);
    board.reset(listener(family, 5, { algorithm: 'sourceHash', slots }));
    const met = Array.from({ length: 250 }, (_, i) =>
      knock(board, family, 40000, client(family, i + 1)),
    );
    for (const i of [0, 1, 2, 3, 4])
      assert.ok(count(met, i) >= 25 && count(met, i) <= 80, `${count(met, i)} of 250 to ${i}`);
  }),
  ...bothFamilies(
    'a persistent client stays with its member, whatever the turn',
    (board, family) => {
      board.reset(listener(family, 3, { persistence: {} }));
      const [mine, other] = [client(family, 7), client(family, 8)];
      const first = knock(board, family, 40000, mine);
      for (let i = 1; i < 8; i += 1) {
        assert.equal(knock(board, family, 40000 + i, mine), first);
        knock(board, family, 40000 + i, client(family, 20 + i));
      }
      assert.notEqual(knock(board, family, 40000, other), undefined);
    },
  ),
  ...bothFamilies('persistence counts the prefix that it is given', (board, family) => {
    board.reset(listener(family, 3, { persistence: { prefix4: 24, prefix6: 64 } }));
    const met = [1, 2, 3, 4, 5, 6].map((host) => knock(board, family, 40000, client(family, host)));
    assert.equal(new Set(met).size, 1, `one prefix met ${met.join(', ')}`);
    const far = family === 4 ? '203.0.113.7' : '2001:db8:d::7';
    const farther = family === 4 ? '203.0.114.7' : '2001:db8:e::7';
    const others = [far, farther].map((from) => knock(board, family, 40000, from));
    assert.equal(new Set([...met, ...others]).size, 3, 'other prefixes have turns of their own');
  }),
  ...bothFamilies('persistence ends after its idle time', (board, family) => {
    board.reset(listener(family, 3, { persistence: { stamps: 1 } }));
    const first = knock(board, family, 40000);
    wait(1400);
    assert.notEqual(knock(board, family, 40001), first);
  }),
  ...bothFamilies(
    'a draining member keeps its persistent clients, and gets no others',
    (board, family) => {
      board.reset(listener(family, 2, { persistence: {} }));
      const first = knock(board, family, 40000, client(family, 7));
      const rest = slotsOf(2).filter(([member]) => member !== FIRST_NUMBER + first);
      board.setSlots(FIRST_NUMBER, 'roundRobin', rest);
      assert.equal(knock(board, family, 40001, client(family, 7)), first);
      assert.notEqual(knock(board, family, 40001, client(family, 8)), first);
    },
  ),
  ...bothFamilies('a member closed to persistent clients loses them for good', (board, family) => {
    board.reset(listener(family, 2, { persistence: {} }));
    const first = knock(board, family, 40000, client(family, 7));
    const rest = slotsOf(2).filter(([member]) => member !== FIRST_NUMBER + first);
    board.setSlots(FIRST_NUMBER, 'roundRobin', rest);
    const spec = listener(family, 2).listeners[0]?.members[first];
    assert.ok(spec);
    const record = { ...spec, flags: MEMBER_PRESENT };
    board.setMember(FIRST_NUMBER + first, record, FIRST_NUMBER);
    const second = knock(board, family, 40001, client(family, 7));
    assert.notEqual(second, first);
    board.setSlots(FIRST_NUMBER, 'roundRobin', slotsOf(2));
    board.setMember(FIRST_NUMBER + first, spec, FIRST_NUMBER);
    assert.equal(knock(board, family, 40002, client(family, 7)), second);
  }),
  ...bothFamilies(
    'a persistent client whose member refuses it is given another',
    (board, family) => {
      board.reset(listener(family, 2, { persistence: {} }));
      const talk = new Talk(board, family);
      talk.clientToMember({ flags: ['SYN'] });
      const first = place(talk);
      assert.equal(talk.fromMember({ flags: ['RST', 'ACK'] }).verdict, 'drop');
      assert.notEqual(knock(board, family, 40000), first);
      assert.notEqual(knock(board, family, 40001), first);
    },
  ),
];
