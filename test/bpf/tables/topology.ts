// SPDX-License-Identifier: Apache-2.0
// Where members, clients and VIPs may be: which interface, next hop and source address follow from it.
import assert from 'node:assert/strict';
import { buildPacket } from '../../support/packet.js';
import { readPacket } from '../../support/packet-reader.js';
import { bothFamilies, type Case } from '../support/case.js';
import type { BoardSpec } from '../support/board-spec.js';
import { assertFrame, familyOf, Talk, type Family } from '../support/talk.js';
import { GATEWAY_MAC, memberMac, OTHER_VIP4, PORTS, REMOTE_MEMBER4 } from '../support/world.js';
import { REMOTE_MEMBER6, setNeighbour, UNRESOLVED_MEMBER4, VIP4 } from '../support/world.js';

const spec = (address: string, more: Partial<BoardSpec> = {}): BoardSpec => ({
  listeners: [{ members: [{ address }] }],
  ...more,
});
const onFront = { 4: '10.0.0.50', 6: 'fd00:0::50' } as const;
const frontAddress = { 4: '10.0.0.2', 6: 'fd00:0::2' } as const;
const remote = { 4: REMOTE_MEMBER4, 6: REMOTE_MEMBER6 } as const;
const gateway = { 4: '10.1.0.1', 6: 'fd00:1::1' } as const;
const member = (family: Family): string => familyOf(family).member;

export const topology: readonly Case[] = [
  ...bothFamilies('a member on the VIP’s network is called by the VIP itself', (board, family) => {
    board.reset(spec(onFront[family]));
    const snat = familyOf(family).vip;
    const talk = new Talk(board, family, { memberPort: 'front', snat }).connect();
    talk.clientToMember({ payload: 'up' });
    talk.memberToClient({ payload: 'down' });
  }),
  ...bothFamilies('or by the interface’s address where the service says so', (board, family) => {
    board.reset(spec(onFront[family], { vipPort: null }));
    const snat = frontAddress[family];
    const talk = new Talk(board, family, { memberPort: 'front', snat }).connect();
    talk.memberToClient({ payload: 'down' });
  }),
  ...bothFamilies('a member behind a gateway is reached through it', (board, family) => {
    board.reset(spec(remote[family]));
    const talk = new Talk(board, family, { memberHop: memberMac(gateway[family]) }).connect();
    talk.memberToClient({ payload: 'down' });
  }),
  ...bothFamilies('a client on the VIP’s own network is answered directly', (board, family) => {
    board.reset(spec(member(family)));
    const client = family === 4 ? '10.0.0.11' : 'fd00:0::11';
    new Talk(board, family, { client, clientHop: memberMac(client) }).connect();
  }),
  ...bothFamilies('hairpin: a member may be its own client', (board, family) => {
    board.reset(spec(member(family)));
    const client = member(family);
    const talk = new Talk(board, family, {
      client,
      clientSide: 'back',
      clientHop: memberMac(client),
    }).connect();
    talk.clientToMember({ payload: 'to myself' });
    talk.memberToClient({ payload: 'from myself' });
  }),
  {
    name: 'two VIPs have flows of their own',
    run: (board) => {
      board.reset({
        listeners: [{ vips: [VIP4, OTHER_VIP4], members: [{ address: member(4) }] }],
      });
      const first = new Talk(board, 4, { vip: VIP4 }).connect();
      const second = new Talk(board, 4, { vip: OTHER_VIP4 }).connect();
      first.memberToClient({ payload: 'from the first' });
      second.memberToClient({ payload: 'from the second' });
    },
  },
  {
    name: 'a member that nobody has resolved gets its first packets through the kernel',
    run: (board) => {
      board.reset(spec(UNRESOLVED_MEMBER4));
      const talk = new Talk(board, 4, { memberHop: GATEWAY_MAC });
      const outcome = talk.fromClient({ flags: ['SYN'] });
      assert.equal(outcome.verdict, 'pass');
      const { transport } = readPacket(outcome.frame);
      talk.learn({ ...outcome, verdict: 'forward' });
      assert.ok(transport?.checksumRight);
      const ethernet = { source: GATEWAY_MAC, destination: PORTS.front.mac };
      assertFrame(outcome, buildPacket({ ...talk.towardsMember({ flags: ['SYN'] }), ethernet }));
      assert.equal(board.reason('NO_NEIGHBOUR'), 1);
    },
  },
  ...bothFamilies('a member without a route is refused to the client', (board, family) => {
    board.reset(spec(family === 4 ? '10.77.0.1' : 'fd77::1'));
    const talk = new Talk(board, family);
    const outcome = talk.fromClient({ flags: ['SYN'] });
    assert.equal(outcome.verdict, 'forward');
    assert.equal(readPacket(outcome.frame).transport?.flags, 0x14);
    assert.ok(board.reason('NO_ROUTE') >= 1);
  }),
  ...bothFamilies('a new generation makes flows ask for their next hop again', (board, family) => {
    board.reset(spec(member(family)));
    const talk = new Talk(board, family).connect();
    const moved = '02:00:00:00:01:ff';
    setNeighbour('back', member(family), moved);
    try {
      talk.clientToMember({ payload: 'still the old one' });
      board.bumpGeneration();
      const outcome = talk.fromClient({ payload: 'now the new one' });
      assert.equal(readPacket(outcome.frame).ethernet.destination, moved);
      board.bumpGeneration();
    } finally {
      setNeighbour('back', member(family), memberMac(member(family)));
    }
    talk.clientToMember({ payload: 'and back' });
    talk.memberToClient({ payload: 'all the while' });
  }),
  ...bothFamilies('an established flow outlives its service and its pool', (board, family) => {
    board.reset(spec(member(family)));
    const talk = new Talk(board, family).connect();
    board.removeServices();
    talk.clientToMember({ payload: 'still' });
    talk.memberToClient({ payload: 'here' });
    const next = new Talk(board, family, { clientPort: 41000 });
    assert.equal(next.fromClient({ flags: ['SYN'] }).verdict, 'pass');
  }),
];
