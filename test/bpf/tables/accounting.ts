// SPDX-License-Identifier: Apache-2.0
// What is counted: payload as HAProxy does it, or whole packets as IPVS does it, and open flows exactly.
import assert from 'node:assert/strict';
import { enums, structs } from '../../../agent/core/plan/layout.gen.js';
import { bothFamilies, type Case } from '../support/case.js';
import { FIRST_NUMBER, type BoardSpec } from '../support/board-spec.js';
import { familyOf, Talk, type Family } from '../support/talk.js';

const { LISTENER_LIVE, LISTENER_COUNT_PACKETS } = enums.listener_flag;
const spec = (family: Family, flags: number = LISTENER_LIVE): BoardSpec => ({
  listeners: [
    { flags, members: [{ address: familyOf(family).member }] },
    { flags, protocol: 'udp', port: 53, members: [{ address: familyOf(family).member }] },
  ],
});
const TCP_MEMBER = FIRST_NUMBER;
const UDP_MEMBER = FIRST_NUMBER + 1;

export const accounting: readonly Case[] = [
  ...bothFamilies('a TCP listener bills payload', (board, family) => {
    board.reset(spec(family));
    const talk = new Talk(board, family).connect();
    talk.clientToMember({ payload: Buffer.alloc(100) });
    talk.clientToMember({ payload: Buffer.alloc(11) });
    talk.memberToClient({ payload: Buffer.alloc(1000) });
    const counters = board.counters('member_counters', structs.member_counters, TCP_MEMBER);
    assert.deepEqual(
      [counters.rx_bytes, counters.tx_bytes, counters.rx_packets, counters.tx_packets],
      [111n, 1000n, 4n, 2n],
    );
    assert.equal(counters.flows, 1n);
  }),
  ...bothFamilies('an LVS listener bills whole IP packets', (board, family) => {
    board.reset(spec(family, LISTENER_LIVE | LISTENER_COUNT_PACKETS));
    const talk = new Talk(board, family, { protocol: 'udp', vipPort: 53 });
    talk.clientToMember({ payload: Buffer.alloc(100) });
    talk.memberToClient({ payload: Buffer.alloc(30) });
    talk.clientToMember({ payload: Buffer.alloc(7) });
    const header = BigInt(8 + (family === 4 ? 20 : 40));
    const counters = board.counters('member_counters', structs.member_counters, UDP_MEMBER);
    assert.deepEqual(
      [counters.rx_bytes, counters.tx_bytes, counters.rx_packets, counters.tx_packets],
      [107n + 2n * header, 30n + header, 2n, 1n],
    );
    assert.equal(counters.flows, 1n);
  }),
  ...bothFamilies('padding of short frames is not billed', (board, family) => {
    board.reset(spec(family));
    const talk = new Talk(board, family).connect();
    const before = board.counters('member_counters', structs.member_counters, TCP_MEMBER).rx_bytes;
    board.sendPadded(talk.clientSpec({ payload: 'ab' }), 'front', 60 + 40);
    const { rx_bytes } = board.counters('member_counters', structs.member_counters, TCP_MEMBER);
    assert.equal(rx_bytes - before, 2n);
  }),
  ...bothFamilies('open flows go up with the handshake and down with the end', (board, family) => {
    board.reset(spec(family));
    const open = () => [
      board.counters('listener_state', structs.listener_state, FIRST_NUMBER).open,
      board.counters('member_state', structs.member_state, TCP_MEMBER).open,
    ];
    const talk = new Talk(board, family);
    talk.clientToMember({ flags: ['SYN'] });
    assert.deepEqual(open(), [0, 0]);
    talk.connect();
    assert.deepEqual(open(), [1, 1]);
    const other = new Talk(board, family, { clientPort: 40001 }).connect();
    assert.deepEqual(open(), [2, 2]);
    other.memberToClient({ flags: ['RST'] });
    assert.deepEqual(open(), [1, 1]);
    talk.memberToClient({ flags: ['FIN', 'ACK'] });
    assert.deepEqual(open(), [1, 1]);
    talk.clientToMember({ flags: ['FIN', 'ACK'] });
    talk.memberToClient({ flags: ['ACK'] });
    assert.deepEqual(open(), [0, 0]);
    const listener = board.counters('listener_counters', structs.listener_counters, FIRST_NUMBER);
    assert.equal(listener.flows, 2n);
  }),
];
