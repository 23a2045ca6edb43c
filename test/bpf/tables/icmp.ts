// SPDX-License-Identifier: Apache-2.0
// ICMP errors about translated packets reach the end that sent the packet, which must recognise its own.
import assert from 'node:assert/strict';
import { buildIpPacket, buildPacket, type PacketSpec } from '../../support/packet.js';
import { readPacket } from '../../support/packet-reader.js';
import { bothFamilies, type Case } from '../support/case.js';
import type { BoardSpec } from '../support/board-spec.js';
import type { Outcome } from '../support/switchboard.js';
import { assertFrame, assertPassed, familyOf, Talk, type Family } from '../support/talk.js';
import { GATEWAY_MAC, PORTS } from '../support/world.js';

const spec = (family: Family): BoardSpec => ({
  listeners: [
    { members: [{ address: familyOf(family).member }] },
    { protocol: 'udp', port: 53, members: [{ address: familyOf(family).member }] },
  ],
});

interface Kind {
  readonly what: string;
  readonly 4: readonly [type: number, code: number, rest: number];
  readonly 6: readonly [type: number, code: number, rest: number];
}
const KINDS: readonly Kind[] = [
  { what: 'packet too big', 4: [3, 4, 1400], 6: [2, 0, 1400] },
  { what: 'port unreachable', 4: [3, 3, 0], 6: [1, 4, 0] },
  { what: 'host unreachable', 4: [3, 1, 0], 6: [1, 3, 0] },
  { what: 'time exceeded', 4: [11, 0, 0], 6: [3, 0, 0] },
  { what: 'parameter problem', 4: [12, 0, 0x14000000], 6: [4, 1, 40] },
];

/** IP packet of a frame. */
const ipOf = (frame: Buffer): Buffer => readPacket(frame).bytes;

const error = (
  family: Family,
  kind: Kind,
  quote: Buffer,
  way: { readonly from: string; readonly to: string; readonly ethernet: PacketSpec['ethernet'] },
  ttl = 60,
): Buffer => {
  const [type, code, rest] = kind[family];
  return buildPacket({
    ethernet: way.ethernet,
    ip: { source: way.from, destination: way.to, ttl, dontFragment: false, tos: 0xc0 },
    transport: { kind: 'icmp', type, code, rest },
    payload: quote,
  });
};

/** A router between us and the members complains about what `out` was. */
const fromMemberSide = (talk: Talk, kind: Kind, out: Outcome, bytes: number): Buffer =>
  error(talk.family, kind, ipOf(out.frame).subarray(0, bytes), {
    from: talk.family === 4 ? '10.1.0.1' : 'fd00:1::1',
    to: talk.snat.address,
    ethernet: { source: '02:00:00:00:01:01', destination: PORTS.back.mac },
  });

/** What the client must get for it: an error from the VIP about the packet that the client sent. */
const towardsClient = (talk: Talk, kind: Kind, original: PacketSpec, bytes: number): Buffer =>
  error(
    talk.family,
    kind,
    quoted(original, bytes),
    {
      from: talk.vip.address,
      to: talk.client.address,
      ethernet: { source: PORTS.front.mac, destination: GATEWAY_MAC },
    },
    59,
  );

const fromClientSide = (talk: Talk, kind: Kind, out: Outcome, bytes: number): Buffer =>
  error(talk.family, kind, ipOf(out.frame).subarray(0, bytes), {
    from: talk.family === 4 ? '192.0.2.1' : '2001:db8:f::1',
    to: talk.vip.address,
    ethernet: { source: GATEWAY_MAC, destination: PORTS.front.mac },
  });

const towardsMember = (talk: Talk, kind: Kind, original: PacketSpec, bytes: number): Buffer =>
  error(
    talk.family,
    kind,
    quoted(original, bytes),
    {
      from: talk.snat.address,
      to: talk.member.address,
      ethernet: { source: PORTS.back.mac, destination: talk.memberHop },
    },
    59,
  );

/** The packet as its sender knows it, one hop older. */
const quoted = (spec: PacketSpec, bytes: number): Buffer =>
  buildIpPacket({ ...spec, ip: { ...spec.ip, ttl: 63 } }).subarray(0, bytes);

const PAYLOAD = Buffer.alloc(200, 0x5a);
const SHORT = { 4: 28, 6: 48 } as const;
const lengths = (family: Family): readonly number[] => [
  SHORT[family],
  SHORT[family] + 12,
  SHORT[family] + 32,
  SHORT[family] + 100,
  SHORT[family] + 101,
];

export const icmp: readonly Case[] = [
  ...KINDS.flatMap((kind) =>
    bothFamilies(`${kind.what} from the members' side reaches the client`, (board, family) => {
      for (const protocol of ['tcp', 'udp'] as const) {
        board.reset(spec(family));
        const talk = new Talk(board, family, { protocol, vipPort: protocol === 'tcp' ? 80 : 53 });
        if (protocol === 'tcp') talk.connect();
        const out = talk.clientToMember({ payload: PAYLOAD });
        for (const bytes of lengths(family)) {
          const outcome = board.send(fromMemberSide(talk, kind, out, bytes), 'back');
          assert.equal(outcome.verdict, 'forward', `${protocol}, ${bytes} bytes quoted`);
          const original = talk.clientSpec({ payload: PAYLOAD });
          assertFrame(outcome, towardsClient(talk, kind, original, bytes));
        }
        assert.equal(board.reason('ICMP_TRANSLATED'), lengths(family).length);
      }
    }),
  ),
  ...KINDS.flatMap((kind) =>
    bothFamilies(`${kind.what} from the clients' side reaches the member`, (board, family) => {
      for (const protocol of ['tcp', 'udp'] as const) {
        board.reset(spec(family));
        const talk = new Talk(board, family, { protocol, vipPort: protocol === 'tcp' ? 80 : 53 });
        if (protocol === 'tcp') talk.connect();
        else talk.clientToMember({ payload: 'x' });
        const out = talk.memberToClient({ payload: PAYLOAD });
        for (const bytes of lengths(family)) {
          const outcome = board.send(fromClientSide(talk, kind, out, bytes), 'front');
          assert.equal(outcome.verdict, 'forward', `${protocol}, ${bytes} bytes quoted`);
          const original = talk.memberSpec({ payload: PAYLOAD });
          assertFrame(outcome, towardsMember(talk, kind, original, bytes));
        }
      }
    }),
  ),
  ...bothFamilies(
    'an error about a SYN reaches the client before the handshake',
    (board, family) => {
      board.reset(spec(family));
      const talk = new Talk(board, family);
      const out = talk.clientToMember({ flags: ['SYN'] });
      const [kind] = KINDS;
      assert.ok(kind);
      const outcome = board.send(fromMemberSide(talk, kind, out, SHORT[family]), 'back');
      assert.equal(outcome.verdict, 'forward');
      const original = talk.clientSpec({ flags: ['SYN'] });
      assertFrame(outcome, towardsClient(talk, kind, original, SHORT[family]));
    },
  ),
  ...bothFamilies('an error about a packet of no flow of ours is the kernel’s', (board, family) => {
    board.reset(spec(family));
    const talk = new Talk(board, family).connect();
    const out = talk.clientToMember({ payload: PAYLOAD });
    const stray = Buffer.from(out.frame);
    stray.writeUInt16BE(1, 14 + (family === 4 ? 20 : 40)); // another source port
    for (const kind of KINDS) {
      const frame = fromMemberSide(talk, kind, { ...out, frame: stray }, SHORT[family]);
      assertPassed(board.send(frame, 'back'), frame);
    }
  }),
  ...bothFamilies(
    'an error cut anywhere neither aborts nor is forwarded broken',
    (board, family) => {
      board.reset(spec(family));
      const talk = new Talk(board, family).connect();
      const out = talk.clientToMember({ payload: PAYLOAD });
      for (const kind of KINDS) {
        const frame = fromMemberSide(talk, kind, out, SHORT[family]);
        for (let length = 14 + (family === 4 ? 20 : 40); length < frame.length; length += 1) {
          const outcome = board.send(frame.subarray(0, length), 'back');
          assert.ok(outcome.verdict === 'pass' || outcome.verdict === 'drop', `at ${length}`);
        }
      }
    },
  ),
  ...bothFamilies('an error with TTL 1 is not translated', (board, family) => {
    board.reset(spec(family));
    const talk = new Talk(board, family).connect();
    const out = talk.clientToMember({ payload: PAYLOAD });
    const [kind] = KINDS;
    assert.ok(kind);
    const quote = ipOf(out.frame).subarray(0, SHORT[family]);
    const way = {
      from: family === 4 ? '10.1.0.1' : 'fd00:1::1',
      to: talk.snat.address,
      ethernet: { source: '02:00:00:00:01:01', destination: PORTS.back.mac },
    };
    assert.notEqual(board.send(error(family, kind, quote, way, 1), 'back').verdict, 'forward');
  }),
];
