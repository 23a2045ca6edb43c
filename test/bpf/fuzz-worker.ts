// SPDX-License-Identifier: Apache-2.0
// Sends random and broken packets through one hook in the namespace of this process, and reports in TAP:
//   fuzz-worker.ts DIRECTORY-OF-OBJECTS xdp|tc SEED PACKETS SECONDS
// It ends after so many packets or seconds, whichever comes first.
import assert from 'node:assert/strict';
import { addon } from '../../native/index.js';
import { Random } from '../support/random.js';
import { auditFlows } from './fuzz/audit.js';
import { icmpError } from './fuzz/errors.js';
import { EventCount } from './fuzz/events.js';
import { FlowBook } from './fuzz/flow-book.js';
import { Judge } from './fuzz/judge.js';
import { mutate } from './fuzz/mutate.js';
import { BOARD } from './fuzz/population.js';
import { type Sent, Traffic } from './fuzz/traffic.js';
import { change, openReaper, reap } from './fuzz/weather.js';
import type { Hook, Reason } from './support/board-spec.js';
import { type Outcome, Switchboard } from './support/switchboard.js';
import { buildWorld } from './support/world.js';

const AUDIT_EVERY = 250;
const CHANGE_EVERY = 90;
/** What a run must have met, or it has shown nothing. */
const MET: readonly Reason[] = [
  ...([
    'NEW_FLOW',
    'ACL',
    'LIMIT',
    'NO_MEMBER',
    'NO_PORT',
    'MEMBER_REFUSED',
    'NO_NEIGHBOUR',
  ] as const),
  ...(['NO_ROUTE', 'TTL', 'TOO_BIG', 'ICMP_TRANSLATED', 'FRAGMENT', 'FRAGMENT_ORPHAN'] as const),
  ...(['MALFORMED', 'NOT_OURS', 'NO_FLOW', 'VIP_NOT_LOCAL', 'RST_SENT', 'ICMP_SENT'] as const),
];
const NEVER: readonly Reason[] = ['EVENT_LOST', 'LOG_LOST', 'TABLE_FULL'];
/** So many packets are enough to meet everything. */
const ENOUGH = 20_000;

const [directory = '', setup = '', seed = '1', packets = '0', seconds = '0'] =
  process.argv.slice(2);
const isHook = (text: string): text is Hook => text === 'xdp' || text === 'tc';

/** Null where the kernel's test-run refuses an skb shorter than its IP header. */
const sendTo = (board: Switchboard, { frame, port }: Sent): Outcome | null => {
  try {
    return board.send(frame, port);
  } catch (error) {
    assert.ok(board.hook === 'tc' && frame.length < 14 + 40, String(error));
    return null;
  }
};

const run = async (hook: Hook): Promise<string> => {
  const random = new Random(seed);
  const board = new Switchboard(hook, directory, {
    lines: { cache: 16, recent: 64 },
    maxEntries: { member_counters: 64, members: 64, half4: 2048, half6: 2048 },
  });
  const reaper = openReaper(board, directory, `/sys/fs/bpf/amphora-fuzz-${process.pid}`);
  board.reset(BOARD);
  const events = new EventCount(board);
  const book = new FlowBook();
  const judge = new Judge(board, book);
  const traffic = new Traffic(random, book);
  const until = Date.now() + Number(seconds) * 1000;
  let number = 0;
  for (; number < Number(packets) && Date.now() < until; number += 1) {
    const made = (random.chance(0.06) ? icmpError(random, book) : null) ?? traffic.next();
    const sent = random.chance(0.45) ? { ...made, frame: mutate(made.frame, random) } : made;
    const outcome = sendTo(board, sent);
    if (!outcome) continue;
    try {
      judge.judge(sent, outcome);
      if (number % AUDIT_EVERY === 0) await events.settle(auditFlows(board));
    } catch (error) {
      const bytes = `in ${sent.port} ${sent.frame.toString('hex')}\nout ${outcome.verdict} ${outcome.frame.toString('hex')}`;
      throw new Error(
        `packet ${number}: ${error instanceof Error ? error.message : String(error)}\n${bytes}`,
        { cause: error },
      );
    }
    if (number % CHANGE_EVERY === 0) change(board, reaper, random);
  }
  reap(board, reaper, () => true);
  assert.equal(auditFlows(board), 0, 'flows open behind the last one');
  await events.settle(0);
  for (const reason of NEVER) assert.equal(board.reason(reason), 0, reason);
  if (number >= ENOUGH)
    for (const reason of MET) assert.ok(board.reason(reason) > 0, `${reason} was never met`);
  const told = `${number} packets, ${JSON.stringify(judge.verdicts)}, ${events.opened} flows opened and ended`;
  events.close();
  reaper.close();
  board.close();
  return told;
};

if (!isHook(setup)) throw new Error('usage: fuzz-worker DIRECTORY xdp|tc SEED PACKETS SECONDS');
addon.setLog(null);
buildWorld();
console.log('TAP version 14\n1..1');
try {
  console.log(`ok 1 - ${setup}, SEED=${seed}: ${await run(setup)}`);
} catch (error) {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  console.log(
    `not ok 1 - ${setup}, SEED=${seed}\n  ---\n  message: |\n${text.replace(/^/gm, '    ')}\n  ...`,
  );
  process.exitCode = 1;
}
