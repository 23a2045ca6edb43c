// SPDX-License-Identifier: Apache-2.0
// Stamps, idle limits and the repair of counters.
import t from 'tap';
import {
  secondsToStamps,
  snapHz,
  stampOf,
  stampsBetween,
  stampsToSeconds,
} from '../../agent/core/plan/clock.js';
import { idleLimits } from '../../agent/core/plan/idle.js';
import { assignNumbers, NO_NUMBERS } from '../../agent/core/plan/numbers.js';
import { partsOf } from '../../agent/core/plan/parts.js';
import { repairOf } from '../../agent/core/plan/repair.js';
import { listener, member, pool } from './plan-fixtures.js';

t.test('seconds and stamps', (t) => {
  t.equal(secondsToStamps(1, { hz: 250 }), 4);
  t.equal(secondsToStamps(60, { hz: 1000 }), 938);
  t.equal(secondsToStamps(0, { hz: 100 }), 1);
  t.equal(stampsToSeconds(125, { hz: 250 }), 32);
  t.end();
});

t.test('stamps wrap', (t) => {
  t.equal(stampOf(0x40n), 1);
  t.equal(stampOf(0xffffffffffn), 0xffffffff);
  t.equal(stampOf((1n << 38n) | 0x80n), 2);
  t.equal(stampsBetween(0xfffffffe, 2), 4);
  t.equal(stampsBetween(2, 0xfffffffe), -4);
  t.end();
});

for (const hz of [100, 250, 300, 1000])
  t.test(`HZ ${hz} is recognised from a short measurement`, (t) => {
    for (const error of [-1n, 0n, 1n])
      t.equal(snapHz((60n * BigInt(hz)) / 1000n + error, 60_000_000n), hz);
    t.end();
  });

t.test('idle limits by member, shorter for UDP when the table is crowded', (t) => {
  const listeners = [
    listener('web', [pool([member('a', '192.0.2.1')])]),
    listener('dns', [pool([member('b', '192.0.2.2')])], { protocol: 'UDP' }),
  ];
  const limits = { listeners: 4, pools: 4, members: 4 };
  const numbers = assignNumbers(NO_NUMBERS, partsOf(listeners), limits);
  const clock = { hz: 64 }; // a stamp unit is a second
  const usual = idleLimits(numbers, 4, clock, false);
  t.strictSame([...usual.idle], [50, 300, 3600, 3600]);
  t.equal(usual.closed, 60);
  const crowded = idleLimits(numbers, 4, clock, true);
  t.strictSame([...crowded.idle], [50, 30, 3600, 3600]);
  t.equal(crowded.closed, 5);
  const lost = { ...numbers, listeners: {} };
  t.strictSame([...idleLimits(lost, 4, clock, false).idle], [3600, 3600, 3600, 3600]);
  t.end();
});

const repairs = [
  ['a first pass proves nothing', undefined, [9, 1, 5], 0],
  ['right twice', [3, 3, 5], [3, 3, 5], 0],
  ['wrong once', [3, 3, 5], [4, 3, 5], 0],
  ['wrong twice at rest, too many', [9, 1, 5], [9, 1, 5], -8],
  ['wrong twice at rest, too few', [0, 2, 5], [0, 2, 5], 2],
  ['differences to both sides are noise', [9, 1, 5], [1, 9, 7], 0],
  ['a small difference under traffic is noise', [130, 100, 5], [140, 110, 900], 0],
  ['a large one under traffic is not', [900, 100, 5], [800, 110, 900], -690],
] as const;
for (const [name, before, now, expected] of repairs)
  t.test(`repair: ${name}`, (t) => {
    const recount = ([open, found, flows]: readonly [number, number, number]) => ({
      open,
      found,
      flows,
    });
    t.equal(repairOf(before && recount(before), recount(now)), expected);
    t.end();
  });
