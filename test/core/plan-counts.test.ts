// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import {
  type CounterReader,
  LISTENER_WORDS,
  listenerTotals,
  MEMBER_WORDS,
  REASON_NAMES,
  retireCounts,
  sumWords,
} from '../../agent/core/plan/counts.js';
import { concatRecords, pack } from '../../agent/core/plan/encode.js';
import { enums, structs } from '../../agent/core/plan/layout.gen.js';
import { assignNumbers, NO_NUMBERS, releaseNumbers } from '../../agent/core/plan/numbers.js';
import { partsOf } from '../../agent/core/plan/parts.js';
import { newState } from '../../agent/core/plan/state.js';
import { at, listener, member, pool } from './plan-fixtures.js';

const limits = { listeners: 8, pools: 8, members: 8 };
const a = member('a', '192.0.2.1');
const b = member('b', '192.0.2.2');
const web = (...members: (typeof a)[]) => listener('web', [pool(members)]);

/** Every number counts its own multiples. */
const reader = (factor = 1): CounterReader => ({
  member: (n) => [1, 100, 2, 200, 3, 4].map((word) => word * (n + 1) * factor),
  memberOpen: (n) => n + 10,
  listener: (n) => [50, 1, 2, 3, 4, 5, 6, 7].map((word) => word * (n + 1) * factor),
  listenerOpen: (n) => n + 20,
});

t.test('counters are summed over CPUs', (t) => {
  const cpus = [1n, 2n].map((n) =>
    pack(structs.member_counters, { rx_bytes: n, refusals: 2n ** 40n }),
  );
  t.strictSame(sumWords(concatRecords(cpus), structs.member_counters.size, MEMBER_WORDS), [
    0,
    3,
    0,
    0,
    0,
    2 ** 41,
  ]);
  t.strictSame(sumWords(new Uint8Array(), 8, 1), [0]);
  t.equal(LISTENER_WORDS, 8);
  t.end();
});

t.test('a listener’s totals are those of its members, with its own', (t) => {
  const numbers = assignNumbers(NO_NUMBERS, partsOf([web(a, b)]), limits);
  const totals = listenerTotals({ ...newState('x'), numbers }, reader());
  t.match(totals['web'], {
    rxPackets: 3,
    rxBytes: 300,
    txPackets: 6,
    txBytes: 600,
    refusals: 12,
    flows: 50,
    open: 20,
    refusedAcl: 1,
    refusedLimit: 2,
    refusedNoMember: 3,
    refusedNoPort: 4,
    refusedTableFull: 5,
    droppedGuard: 6,
    reselected: 7,
    pools: { 'pool-1': { a: { rxBytes: 100, flows: 3, open: 10 }, b: { rxBytes: 200, open: 11 } } },
  });
  t.end();
});

t.test('both families of a listener are one to the reader', (t) => {
  const vips = [at('203.0.113.10', 53), at('2001:db8::10', 53)];
  const dns = listener('dns', [pool([a, { ...a, address: member('x', '2001:db8::1').address }])], {
    vips,
  });
  const numbers = assignNumbers(NO_NUMBERS, partsOf([dns]), limits);
  const totals = listenerTotals({ ...newState('x'), numbers }, reader());
  t.match(totals['dns'], { flows: 150, open: 41, rxBytes: 300 });
  t.match(totals['dns']?.pools['pool-1']?.['a'], { rxBytes: 300, flows: 9, open: 21 });
  t.end();
});

t.test('totals keep what members counted that left, through quarantine and release', (t) => {
  const both = assignNumbers(NO_NUMBERS, partsOf([web(a, b)]), limits);
  const left = assignNumbers(both, partsOf([web(b)]), limits);
  const quarantined = { ...newState('x'), numbers: left };
  t.match(listenerTotals(quarantined, reader())['web'], { rxBytes: 300 });
  t.notOk(listenerTotals(quarantined, reader())['web']?.pools['pool-1']?.['a'], 'it is not shown');
  const released = retireCounts(quarantined, releaseNumbers(left, new Set([0])), reader());
  t.match(listenerTotals(released, reader())['web'], { rxBytes: 300, flows: 50 });

  const again = assignNumbers(
    released.numbers,
    partsOf([web(b, member('c', '192.0.2.3'))]),
    limits,
  );
  const reused = listenerTotals({ ...released, numbers: again }, reader(2))['web'];
  t.match(reused?.pools['pool-1']?.['c'], { rxBytes: 100 }, 'only what was counted since');
  t.equal(reused?.rxBytes, 100 + 100 + 400);
  t.end();
});

t.test('a listener that was released and returns goes on counting', (t) => {
  const numbers = assignNumbers(NO_NUMBERS, partsOf([web(a)]), limits);
  const gone = { ...newState('x'), numbers: assignNumbers(numbers, [], limits) };
  const released = retireCounts(gone, releaseNumbers(gone.numbers, new Set([0])), reader());
  t.strictSame(listenerTotals(released, reader()), {});
  const back = assignNumbers(released.numbers, partsOf([web(a)]), limits);
  t.match(listenerTotals({ ...released, numbers: back }, reader())['web'], {
    flows: 50,
    rxBytes: 100,
  });
  t.end();
});

t.test('reasons have the names of the enum, in its order', (t) => {
  t.equal(REASON_NAMES[enums.reason.REASON_NOT_OURS], 'not_ours');
  t.equal(REASON_NAMES[enums.reason.REASON_EVENT_LOST], 'event_lost');
  t.equal(REASON_NAMES.length, enums.reason.REASON_MAX);
  t.end();
});

t.test('sums of very many deleted listeners are not kept for ever', (t) => {
  const numbers = assignNumbers(NO_NUMBERS, partsOf([web(a)]), limits);
  const gone = { ...newState('x'), numbers: assignNumbers(numbers, [], limits) };
  const old = Object.fromEntries(
    Array.from({ length: 2000 }, (_, i) => [`old-${i}`, { members: [i], listeners: [] }]),
  );
  const after = retireCounts(
    { ...gone, retired: old },
    releaseNumbers(gone.numbers, new Set([0])),
    reader(),
  );
  const ids = Object.keys(after.retired);
  t.equal(ids.length, 1024);
  t.equal(ids[0], 'old-977');
  t.ok(ids.includes('web'));
  t.end();
});
