// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { enums } from '../../agent/core/plan/layout.gen.js';
import { SlotMemo } from '../../agent/core/plan/slot-memo.js';
import { poolSlots, type SlotMember } from '../../agent/core/plan/slots.js';

const slotMember = (number: number, changes: Partial<SlotMember> = {}): SlotMember => ({
  number,
  identity: `192.0.2.${number}:80`,
  weight: 1,
  backup: false,
  healthy: true,
  ...changes,
});

const numbers = (words: Uint32Array): number[] =>
  Array.from({ length: words[0] ?? 0 }, (_, slot) => words[2 + slot * 2] ?? -1);
const roundRobin = (members: readonly SlotMember[]): number[] =>
  numbers(poolSlots({ algorithm: 'ROUND_ROBIN', weighted: true, members }));
const sourceHash = (members: readonly SlotMember[]): number[] =>
  numbers(poolSlots({ algorithm: 'SOURCE_IP', weighted: true, members }));

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** nginx's own formulation, one credit per member. */
const nginxOrder = (members: readonly SlotMember[]): number[] => {
  const divisor = members.reduce((sum, { weight }) => gcd(sum, weight), 0);
  const total = members.reduce((sum, { weight }) => sum + weight / divisor, 0);
  const credits = members.map(() => 0);
  return Array.from({ length: total }, () => {
    members.forEach(({ weight }, i) => (credits[i] = (credits[i] ?? 0) + weight / divisor));
    const best = credits.indexOf(Math.max(...credits));
    credits[best] = (credits[best] ?? 0) - total;
    return members[best]?.number ?? -1;
  });
};

const share = (owners: readonly number[], number: number): number =>
  owners.filter((owner) => owner === number).length / owners.length;

t.test('round robin interleaves the classic 5:1:1 as nginx does', (t) => {
  const members = [slotMember(1, { weight: 5 }), slotMember(2), slotMember(3)];
  t.strictSame(roundRobin(members), [1, 1, 2, 1, 3, 1, 1]);
  t.end();
});

t.test('round robin has no more slots than the weights need', (t) => {
  const members = [slotMember(1, { weight: 200 }), slotMember(2, { weight: 100 })];
  t.strictSame(roundRobin(members), [1, 2, 1]);
  t.end();
});

t.test('round robin equals the plain formulation for many random pools', (t) => {
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  for (let round = 0; round < 200; round++) {
    const members = Array.from({ length: 1 + random(12) }, (_, i) =>
      slotMember(i + 10, { weight: 1 + random(9) }),
    );
    t.strictSame(roundRobin(members), nginxOrder(members));
  }
  t.end();
});

t.test('round robin of 1,000 members with unlike weights is exact', (t) => {
  const members = Array.from({ length: 1000 }, (_, i) => slotMember(i, { weight: 1 + (i % 256) }));
  const counts = new Map<number, number>();
  for (const number of roundRobin(members)) counts.set(number, (counts.get(number) ?? 0) + 1);
  t.ok(members.every(({ number, weight }) => counts.get(number) === weight));
  t.end();
});

t.test('members that are drained or down get no slot', (t) => {
  const members = [slotMember(1, { weight: 0 }), slotMember(2, { healthy: false }), slotMember(3)];
  t.strictSame(roundRobin(members), [3]);
  t.end();
});

t.test('all backups serve only when nobody else can', (t) => {
  const backups = [slotMember(8, { backup: true }), slotMember(9, { backup: true })];
  t.strictSame(roundRobin([slotMember(1), ...backups]), [1]);
  t.strictSame(roundRobin([slotMember(1, { healthy: false }), ...backups]), [8, 9]);
  t.strictSame(new Set(sourceHash([slotMember(1, { weight: 0 }), ...backups])), new Set([8, 9]));
  t.end();
});

t.test('an empty pool has an empty table that still names its algorithm', (t) => {
  for (const algorithm of ['ROUND_ROBIN', 'LEAST_CONNECTIONS', 'SOURCE_IP'] as const)
    t.equal(poolSlots({ algorithm, weighted: true, members: [] })[0], 0);
  const words = poolSlots({ algorithm: 'SOURCE_IP', weighted: true, members: [] });
  t.equal(words[1], enums.algorithm.ALGORITHM_SOURCE_HASH);
  t.end();
});

t.test('least connections has one slot per member with its weight, or none for LVS', (t) => {
  const members = [slotMember(1, { weight: 5 }), slotMember(2, { weight: 256 })];
  const plan = { algorithm: 'LEAST_CONNECTIONS', members } as const;
  const head = [2, enums.algorithm.ALGORITHM_LEAST_CONNECTIONS];
  t.strictSame([...poolSlots({ ...plan, weighted: true })], [...head, 1, 5, 2, 256]);
  t.strictSame([...poolSlots({ ...plan, weighted: false })], [...head, 1, 0, 2, 0]);
  t.end();
});

t.test('source hashing shares slots by weight within one percent', (t) => {
  const owners = sourceHash([slotMember(1, { weight: 3 }), slotMember(2), slotMember(3)]);
  t.equal(owners.length, 4093);
  t.ok(Math.abs(share(owners, 1) - 0.6) < 0.01, `${share(owners, 1)}`);
  t.ok(Math.abs(share(owners, 2) - 0.2) < 0.01, `${share(owners, 2)}`);
  t.end();
});

t.test('source hashing depends on addresses, not on numbers or order', (t) => {
  const one = [1, 2, 3].map((n) => slotMember(n));
  const other = [3, 1, 2].map((n) => slotMember(n + 50, { identity: `192.0.2.${n}:80` }));
  t.strictSame(
    sourceHash(other).map((number) => number - 50),
    sourceHash(one),
  );
  t.end();
});

for (const count of [3, 10, 50, 200])
  t.test(`of ${count} members one goes down: its share moves and nothing else`, (t) => {
    const members = Array.from({ length: count }, (_, i) => slotMember(i));
    const before = sourceHash(members);
    const after = sourceHash(members.map((m) => (m.number === 1 ? { ...m, healthy: false } : m)));
    const moved = before.filter((owner, slot) => owner !== after[slot]);
    t.strictSame(new Set(moved), new Set([1]), 'only slots of the member that left');
    t.notOk(after.includes(1));
    const heirs = new Set(after.filter((owner, slot) => owner !== before[slot]));
    t.ok(heirs.size > Math.min(2, count - 2), 'and they are spread');
    t.strictSame(sourceHash(members), before, 'it takes back the same slots');
    t.end();
  });

t.test('a member deleted from the config moves its share and less than 2 % of the rest', (t) => {
  for (const count of [4, 10, 50]) {
    const members = Array.from({ length: count + 20 }, (_, i) => slotMember(i)).slice(0, count);
    const before = sourceHash(members);
    const after = sourceHash(members.filter(({ number }) => number !== 2));
    const others = before.filter((owner, slot) => owner !== 2 && owner !== after[slot]);
    t.ok(others.length / before.length < 0.02, `${count}: ${others.length} of ${before.length}`);
  }
  t.end();
});

t.test('source hashing over 1,000 members leaves nobody out', (t) => {
  const members = Array.from({ length: 1000 }, (_, i) =>
    slotMember(i, { identity: `[2001:db8::${i}]:80`, weight: 1 + (i % 2) * 255 }),
  );
  const owners = sourceHash(members);
  t.equal(owners.length, 65_537);
  t.equal(new Set(owners.filter((owner) => owner % 2 === 1)).size, 500);
  t.end();
});

t.test(
  'the memo answers as the function does, and forgets what two rounds did not ask for',
  (t) => {
    const memo = new SlotMemo();
    const plan = (weight: number) =>
      ({
        algorithm: 'SOURCE_IP',
        weighted: true,
        members: [slotMember(1, { weight }), slotMember(2)],
      }) as const;
    const round = (...weights: number[]) => {
      memo.begin();
      return weights.map((weight) => memo.slots(plan(weight)));
    };
    const [first, other] = round(1, 2);
    t.strictSame(first, poolSlots(plan(1)));
    t.equal(round(1)[0], first, 'the same words');
    t.equal(round(1)[0], first);
    t.not(round(2)[0], other, 'computed again');
    t.strictSame(round(2)[0], other);
    t.end();
  },
);
