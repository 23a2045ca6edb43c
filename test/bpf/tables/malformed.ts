// SPDX-License-Identifier: Apache-2.0
// Broken packets: whatever comes, the datapath neither aborts nor forwards what it has not understood.
import assert from 'node:assert/strict';
import { buildFragments, buildPacket } from '../../support/packet.js';
import { bothFamilies, type Case } from '../support/case.js';
import type { BoardSpec } from '../support/board-spec.js';
import type { Outcome, Switchboard } from '../support/switchboard.js';
import { assertPassed, familyOf, Talk, type Family } from '../support/talk.js';

/** What test-run itself wants: an Ethernet header, and for an skb a byte behind it. */
const SHORTEST = 15;
const LONGEST = 120;

const spec = (family: Family): BoardSpec => ({
  listeners: [
    { members: [{ address: familyOf(family).member }] },
    { protocol: 'udp', port: 53, members: [{ address: familyOf(family).member }] },
  ],
});

const everyLength = (
  board: Switchboard,
  frame: Buffer,
  check: (outcome: Outcome) => void,
): void => {
  for (let length = SHORTEST; length <= Math.min(LONGEST, frame.length); length += 1) {
    const outcome = sendShort(board, frame.subarray(0, length));
    if (outcome) check(outcome);
  }
};

/** Null where the kernel's test-run refuses an skb shorter than its IP header. */
const sendShort = (board: Switchboard, frame: Buffer): Outcome | null => {
  try {
    return board.send(frame, 'front');
  } catch (error) {
    assert.ok(board.hook === 'tc' && frame.length < 14 + 40, String(error));
    return null;
  }
};

const survives = (outcome: Outcome): void => {
  assert.notEqual(outcome.verdict, 'abort', `verdict ${outcome.code}`);
};

const notForwarded = (outcome: Outcome): void => {
  assert.ok(outcome.verdict === 'pass' || outcome.verdict === 'drop', `verdict ${outcome.code}`);
};

/** Changes one byte of the IP packet, at `at` from the IP header. */
const broken = (frame: Buffer, at: number, value: number): Buffer => {
  const copy = Buffer.from(frame);
  copy[14 + at] = value;
  return copy;
};

const noise = (seed: number) => {
  let state = seed;
  return (below: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
};

const samples = (board: Switchboard, family: Family): Buffer[] => {
  const tcp = new Talk(board, family);
  const udp = new Talk(board, family, { protocol: 'udp', vipPort: 53 });
  const ext =
    family === 6 ? { ip: { extensions: [{ header: 0 }, { header: 43 }, { header: 60 }] } } : {};
  const options = family === 4 ? { ip: { options: Buffer.alloc(40, 1) } } : {};
  const payload = Buffer.alloc(60, 3);
  return [
    buildPacket(tcp.clientSpec({ flags: ['SYN'], payload })),
    buildPacket(udp.clientSpec({ payload })),
    buildPacket(tcp.clientSpec({ flags: ['SYN'], payload, ...ext, ...options })),
    buildPacket(tcp.clientSpec({ flags: ['SYN'], payload, vlan: 100 })),
    ...buildFragments(udp.clientSpec({ payload: Buffer.alloc(200) }), 96),
  ];
};

export const malformed: readonly Case[] = [
  ...bothFamilies(
    'a frame cut at any length is passed or dropped, or whole enough',
    (board, family) => {
      board.reset(spec(family));
      for (const frame of samples(board, family)) everyLength(board, frame, survives);
    },
  ),
  ...bothFamilies('a frame cut before its ports end is never forwarded', (board, family) => {
    board.reset(spec(family));
    const headers = 14 + (family === 4 ? 20 : 40);
    for (const frame of samples(board, family).slice(0, 2))
      everyLength(board, frame.subarray(0, headers + 7), notForwarded);
  }),
  ...bothFamilies('a cut packet of an established flow does not abort', (board, family) => {
    board.reset(spec(family));
    const talk = new Talk(board, family).connect();
    const frame = buildPacket(talk.clientSpec({ payload: Buffer.alloc(60) }));
    everyLength(board, frame, survives);
    everyLength(board, frame.subarray(0, 14 + (family === 4 ? 20 : 40) + 19), notForwarded);
    talk.clientToMember({ payload: 'and the flow still works' });
  }),
  {
    name: 'IPv4 with a header length below 5 words, or beyond the frame, is not forwarded',
    run: (board) => {
      board.reset(spec(4));
      const frame = buildPacket(new Talk(board, 4).clientSpec({ flags: ['SYN'] }));
      for (const first of [0x40, 0x41, 0x44, 0x4f, 0x55, 0x65, 0x05])
        notForwarded(board.send(broken(frame, 0, first), 'front'));
    },
  },
  {
    name: 'IPv6 with another version in its header is not forwarded',
    run: (board) => {
      board.reset(spec(6));
      const frame = buildPacket(new Talk(board, 6).clientSpec({ flags: ['SYN'] }));
      for (const first of [0x00, 0x40, 0x50, 0x70, 0xf0])
        notForwarded(board.send(broken(frame, 0, first), 'front'));
    },
  },
  ...bothFamilies(
    'TCP with a data offset below 5 or beyond the packet opens nothing',
    (board, family) => {
      board.reset(spec(family));
      const at = (family === 4 ? 20 : 40) + 12;
      const frame = buildPacket(new Talk(board, family).clientSpec({ flags: ['SYN'] }));
      for (const offset of [0x00, 0x10, 0x40, 0xf0])
        notForwarded(board.send(broken(frame, at, offset), 'front'));
    },
  ),
  ...bothFamilies('a length field shorter than the headers opens nothing', (board, family) => {
    board.reset(spec(family));
    const frame = buildPacket(new Talk(board, family).clientSpec({ flags: ['SYN'] }));
    for (const length of family === 4 ? [0, 1, 19, 20, 39] : [0, 1, 7, 19])
      notForwarded(board.send(broken(frame, family === 4 ? 3 : 5, length), 'front'));
  }),
  {
    name: 'IPv6 with more extension headers than anyone sends is left to the kernel',
    run: (board) => {
      board.reset(spec(6));
      const extensions = Array.from({ length: 9 }, () => ({ header: 60 }));
      const talk = new Talk(board, 6);
      const frame = buildPacket(talk.clientSpec({ flags: ['SYN'], ip: { extensions } }));
      assertPassed(board.send(frame, 'front'), frame);
    },
  },
  ...bothFamilies('5,000 packets with random bytes flipped never abort', (board, family) => {
    board.reset(spec(family));
    new Talk(board, family).connect();
    const random = noise(family * 7919);
    const frames = samples(board, family);
    for (let i = 0; i < 5000; i += 1) {
      const frame = Buffer.from(frames[random(frames.length)] ?? Buffer.alloc(0));
      for (let flips = 1 + random(4); flips > 0; flips -= 1) frame[12 + random(60)] = random(256);
      const outcome = sendShort(board, frame);
      if (outcome) survives(outcome);
    }
  }),
];
