// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import {
  type Baselines,
  formatBaselines,
  parseBaselines,
  type Reading,
  takeDeltas,
  type Totals,
} from '../../agent/core/report/deltas.js';

const totals = (n: number): Totals => ({ bin: n, bout: 2 * n, ereq: 0, stot: 3 * n });
const nothing = totals(0);
const haproxy = (n: number, worker = '1'): Reading => ({
  haproxy: { ...totals(n), worker },
  datapath: null,
});
const datapath = (n: number): Reading => ({ haproxy: null, datapath: totals(n) });
const absent: Reading = { haproxy: null, datapath: null };

/** Reads one after the other, through the file each time, as if the agent restarted in between. */
const series = (readings: readonly Reading[], from: Baselines = new Map()): Totals[] => {
  let known = from;
  return readings.map((reading) => {
    const { deltas, after } = takeDeltas(known, new Map([['a', reading]]));
    known = parseBaselines(formatBaselines(after));
    return deltas.get('a') ?? nothing;
  });
};

const cases: readonly (readonly [string, readonly Reading[], readonly number[]])[] = [
  ['an unknown listener starts from 0', [datapath(5)], [5]],
  ['only growth counts', [datapath(5), datapath(5), datapath(9)], [5, 0, 4]],
  ['HAProxy restarted: its counters fell', [haproxy(9), haproxy(2)], [9, 2]],
  ['HAProxy reloaded: another worker, and already past', [haproxy(9), haproxy(12, '2')], [9, 12]],
  ['the machine restarted: the maps are new', [datapath(9), datapath(2)], [9, 2]],
  ['an engine that does not answer loses nothing', [haproxy(5), absent, haproxy(8)], [5, 0, 3]],
  ['to the datapath', [haproxy(100), datapath(3), datapath(4)], [100, 3, 1]],
  ['to HAProxy', [datapath(100), haproxy(3), haproxy(4)], [100, 3, 1]],
  [
    'there and back: the datapath goes on where it was, HAProxy begins anew',
    [datapath(100), haproxy(3), datapath(101), haproxy(5, '2'), datapath(101)],
    [100, 3, 1, 5, 0],
  ],
  [
    'both at once while connections move',
    [
      datapath(10),
      { ...haproxy(1), datapath: totals(12) },
      { ...haproxy(2), datapath: totals(13) },
    ],
    [10, 3, 2],
  ],
];
for (const [name, readings, wanted] of cases) {
  t.test(name, async (t) => {
    t.strictSame(series(readings), wanted.map(totals));
  });
}

t.test('each counter falls for itself', async (t) => {
  const known = new Map([['a', { bin: 10, bout: 10, ereq: 10, stot: 10 }]]);
  const now = { bin: 11, bout: 1, ereq: 10, stot: 20 };
  const { deltas } = takeDeltas(known, new Map([['a', { haproxy: null, datapath: now }]]));
  // all of it was HAProxy's: the datapath has never been heard
  t.strictSame(deltas.get('a'), now);
  const again = takeDeltas(
    new Map([['a', { bin: 10, bout: 10, ereq: 10, stot: 10 }]]),
    new Map([['a', { haproxy: { ...now, worker: '1' }, datapath: null }]]),
  );
  t.strictSame(again.deltas.get('a'), { bin: 1, bout: 1, ereq: 0, stot: 10 });
});

t.test('the file of a reference agent is gone on with, and one of ours it can read', async (t) => {
  const theirs = '{"a": {"bin": 4, "bout": 8, "ereq": 0, "stot": 12}}';
  t.strictSame(series([haproxy(5)], parseBaselines(theirs)), [totals(1)]);
  const { after } = takeDeltas(new Map(), new Map([['a', datapath(5)]]));
  const value = JSON.parse(formatBaselines(after)) as Record<string, unknown>;
  t.match(value['a'], { bin: 5, bout: 10, ereq: 0, stot: 15 });
});

t.test('a file that makes no sense is no file', async (t) => {
  const texts = [
    ...['', '{', 'null', '3', '[]', '[1]', '{"a": 1}', '{"a": null}', '{"a": {}}'],
    '{"a": {"bin": -1, "bout": 0, "ereq": 0, "stot": 0}}',
    '{"a": {"bin": 1.5, "bout": 0, "ereq": 0, "stot": 0}}',
    '{"a": {"bin": "1", "bout": 0, "ereq": 0, "stot": 0}}',
    '{"a": {"bin": 1e300, "bout": 0, "ereq": 0, "stot": 0}}',
  ];
  for (const text of texts) t.equal(parseBaselines(text).size, 0, text);
  const odd = '{"a": {"bin": 1, "bout": 0, "ereq": 0, "stot": 0, "datapath": 7, "worker": {}}}';
  t.strictSame(parseBaselines(odd).get('a'), { bin: 1, bout: 0, ereq: 0, stot: 0 });
});

t.test('a share larger than the sum gives no negative number', async (t) => {
  const text =
    '{"a": {"bin": 1, "bout": 1, "ereq": 1, "stot": 1,' +
    ' "datapath": {"bin": 9, "bout": 9, "ereq": 9, "stot": 9}}}';
  t.strictSame(series([haproxy(2)], parseBaselines(text)), [totals(2)]);
});

t.test('a listener that is away is remembered, a thousand others first forgotten', async (t) => {
  const many = new Map(Array.from({ length: 2000 }, (_, i) => [`old ${i}`, totals(i)]));
  const { after } = takeDeltas(many, new Map([['a', datapath(1)]]));
  t.equal(after.size, 1025);
  t.notOk(after.has('old 975'));
  t.ok(after.has('old 976'));
  t.strictSame(series([datapath(7)], new Map([['a', { ...totals(5), datapath: totals(5) }]])), [
    totals(2),
  ]);
});
