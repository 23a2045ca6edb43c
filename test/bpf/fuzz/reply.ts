// SPDX-License-Identifier: Apache-2.0
// Judges an answer that the datapath made itself: a RST or an ICMP error, back by the way that the packet came.
import assert from 'node:assert/strict';
import { isMartian } from './services.js';
import { isIpSumRight, isSumRight, TCP, viewOf, type View } from './view.js';

const RST = 4;
const ICMP_ERRORS = { 4: [3, 11], 6: [1, 2, 3] } as const;

/** Throws unless `out` is a right answer to `sent`. */
export const assertReply = (sent: View, out: Buffer): void => {
  const view = viewOf(out);
  assert.ok(view, 'the answer is no whole packet');
  assert.ok(!isMartian(sent.source), 'answered a source that nobody has');
  assert.ok(sent.source !== sent.destination, 'answered itself');
  assert.equal((sent.frame[0] ?? 0) & 1, 0, 'answered a frame for many machines');
  assert.equal(out.toString('hex', 0, 6), sent.frame.toString('hex', 6, 12));
  assert.equal(out.toString('hex', 6, 12), sent.frame.toString('hex', 0, 6));
  assert.equal(view.source, sent.destination);
  assert.equal(view.destination, sent.source);
  assert.equal(view.tags, sent.tags, 'tags of the answer');
  assert.ok(isIpSumRight(view), "the answer's IP checksum");
  // a wrong sum may look half made to tc, which makes the answer's in the same way
  if (isSumRight(sent) !== false) assert.ok(isSumRight(view), "the answer's checksum");
  assert.equal(view.end, out.length, 'bytes behind the answer');
  if (view.protocol === TCP) assertRst(sent, view);
  else assertIcmp(sent, view);
};

const assertRst = (sent: View, { flags, sport, dport }: View): void => {
  assert.equal(sent.protocol, TCP);
  assert.ok(flags & RST && !(sent.flags & RST), 'a RST, and never in answer to one');
  assert.deepEqual([sport, dport], [sent.dport, sent.sport]);
};

const assertIcmp = (sent: View, { frame, family, l4, protocol }: View): void => {
  assert.equal(protocol, family === 4 ? 1 : 58);
  assert.ok(
    (ICMP_ERRORS[family] as readonly number[]).includes(frame.readUInt8(l4)),
    'an ICMP error',
  );
  assert.notEqual(sent.fragment, 'later', 'an error about a later piece');
  const quote = frame.subarray(l4 + 8);
  const asked = sent.frame.subarray(sent.l3, sent.end);
  assert.ok(quote.length >= Math.min(asked.length, sent.l4 - sent.l3 + 8), 'too little quoted');
  assert.equal(quote.toString('hex'), asked.subarray(0, quote.length).toString('hex'), 'the quote');
};
