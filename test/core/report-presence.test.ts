// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { GRACE_MS, type LastServed, presentListeners } from '../../agent/core/report/presence.js';
import { listener } from './plan-fixtures.js';

const proxied = listener('proxied', [], { engine: 'haproxy' });
const offloaded = listener('offloaded', []);
const empty = listener('empty', [], { origin: 'lvs', engine: 'none' });
const disabled = listener('disabled', [], { origin: 'lvs', engine: 'none', enabled: false });

const look = (frontends: readonly string[], nowMs: number, lastServed: LastServed = new Map()) =>
  presentListeners({
    listeners: [proxied, offloaded, empty, disabled],
    frontends: new Set(frontends),
    lastServed,
    nowMs,
  });
const ids = ({ present }: ReturnType<typeof look>) => present.map(({ id }) => id);
const all = ['proxied', 'offloaded', 'empty'];

t.test('all that are enabled are told of, whatever serves them', async (t) => {
  t.strictSame(ids(look(['proxied'], 0)), all);
});

t.test('a new one has time to start, one that restarts to come back', async (t) => {
  const first = look([], 1000);
  t.strictSame(ids(first), all);
  t.strictSame(ids(look([], 1000 + GRACE_MS, first.lastServed)), all);
  const served = look(['proxied'], 2000, first.lastServed);
  t.strictSame(ids(look([], 2000 + GRACE_MS, served.lastServed)), all);
});

t.test('then it is gone, and only it, until HAProxy serves it again', async (t) => {
  const first = look(['proxied'], 1000);
  const gone = look([], 1001 + GRACE_MS, first.lastServed);
  t.strictSame(ids(gone), ['offloaded', 'empty']);
  t.strictSame(gone.absentIds, ['proxied']);
  const back = look(['proxied'], 1002 + GRACE_MS, gone.lastServed);
  t.strictSame(ids(back), all);
  t.strictSame(back.absentIds, []);
});

t.test('what is not configured is not remembered', async (t) => {
  const { lastServed } = look(['proxied', 'internal'], 0, new Map([['old', 0]]));
  t.strictSame([...lastServed.keys()], ['proxied']);
});
