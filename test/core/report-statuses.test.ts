// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import type { Member, Monitor, Pool } from '../../agent/core/model/load-balancer.js';
import { parseHaproxyConfig } from '../../agent/core/parse/haproxy-cfg.js';
import { parseLvsConfig } from '../../agent/core/parse/keepalived-lvs.js';
import { type Health, poolStatuses, reportedListeners } from '../../agent/core/report/statuses.js';
import { readCases } from './controller-cases.js';
import { listener, member, pool } from './plan-fixtures.js';

const monitor: Monitor = {
  type: 'TCP',
  id: null,
  intervalSeconds: 5,
  timeoutSeconds: 5,
  fall: 3,
  rise: 3,
};
const silent: Health = { words: new Map(), down: new Set() };
const said = (words: Record<string, string>): Health => ({
  ...silent,
  words: new Map(Object.entries(words).map(([id, word]) => [`pool-1:web/${id}`, word])),
});
const one = (changes: Partial<Member> = {}): Member => member('a', '192.0.2.1', changes);
const b = member('b', '192.0.2.2');

interface Row {
  readonly name: string;
  readonly members: readonly Member[];
  readonly monitored?: boolean;
  readonly health?: Health;
  readonly wanted: { readonly status: string; readonly members: Record<string, string> };
}

const haproxyRows: readonly Row[] = [
  { name: 'no member', members: [], wanted: { status: 'UP', members: {} } },
  { name: 'no monitor', members: [one()], wanted: { status: 'UP', members: { a: 'no check' } } },
  {
    name: 'no monitor, weight 0',
    members: [one({ weight: 0 })],
    wanted: { status: 'DOWN', members: { a: 'no check' } },
  },
  {
    name: 'no monitor, weight 0 beside another',
    members: [one({ weight: 0 }), b],
    wanted: { status: 'UP', members: { a: 'no check', b: 'no check' } },
  },
  {
    name: 'disabled',
    members: [one({ enabled: false })],
    wanted: { status: 'DOWN', members: { a: 'MAINT' } },
  },
  {
    name: 'disabled, and HAProxy did not hear of it yet',
    members: [one({ enabled: false }), b],
    health: said({ a: 'no check', b: 'no check' }),
    wanted: { status: 'UP', members: { a: 'MAINT', b: 'no check' } },
  },
  {
    name: 'in maintenance by its address',
    members: [one()],
    monitored: true,
    health: said({ a: 'MAINT (resolution)' }),
    wanted: { status: 'DOWN', members: { a: 'MAINT' } },
  },
  {
    name: 'checks pass and fail',
    members: [one(), b],
    monitored: true,
    health: said({ a: 'UP', b: 'DOWN' }),
    wanted: { status: 'UP', members: { a: 'UP', b: 'DOWN' } },
  },
  {
    name: 'rise and fall are being counted',
    members: [one(), b],
    monitored: true,
    health: said({ a: 'UP 2/3', b: 'DOWN 1/2' }),
    wanted: { status: 'UP', members: { a: 'UP 2/3', b: 'DOWN 1/2' } },
  },
  {
    name: 'coming up is not up',
    members: [one()],
    monitored: true,
    health: said({ a: 'DOWN 1/2' }),
    wanted: { status: 'DOWN', members: { a: 'DOWN 1/2' } },
  },
  {
    name: 'all down',
    members: [one(), b],
    monitored: true,
    health: said({ a: 'DOWN', b: 'DOWN' }),
    wanted: { status: 'DOWN', members: { a: 'DOWN', b: 'DOWN' } },
  },
  {
    name: 'checks pass at weight 0',
    members: [one({ weight: 0 })],
    monitored: true,
    health: said({ a: 'UP' }),
    wanted: { status: 'DOWN', members: { a: 'DRAIN' } },
  },
  {
    name: 'checks fail at weight 0',
    members: [one({ weight: 0 }), b],
    monitored: true,
    health: said({ a: 'DOWN', b: 'UP' }),
    wanted: { status: 'UP', members: { a: 'DOWN', b: 'UP' } },
  },
  {
    name: 'only a backup is left',
    members: [one(), member('b', '192.0.2.2', { backup: true })],
    monitored: true,
    health: said({ a: 'DOWN', b: 'UP' }),
    wanted: { status: 'UP', members: { a: 'DOWN', b: 'UP' } },
  },
  {
    name: 'HAProxy has not started yet',
    members: [one()],
    monitored: true,
    wanted: { status: 'UP', members: { a: 'UP' } },
  },
  {
    name: 'HAProxy restarts, and what it found before stands',
    members: [one(), b],
    monitored: true,
    health: { ...silent, down: new Set(['pool-1:web/a']) },
    wanted: { status: 'UP', members: { a: 'DOWN', b: 'UP' } },
  },
];

const lvsRows: readonly Row[] = [
  { name: 'no member', members: [], wanted: { status: 'UP', members: {} } },
  { name: 'no checker', members: [one()], wanted: { status: 'UP', members: { a: 'no check' } } },
  {
    name: 'no checker, weight 0',
    members: [one({ weight: 0 })],
    wanted: { status: 'UP', members: { a: 'DRAIN' } },
  },
  {
    name: 'disabled',
    members: [one({ enabled: false, weight: 0 })],
    wanted: { status: 'UP', members: { a: 'MAINT' } },
  },
  {
    name: 'IPVS does not count rise and fall',
    members: [one(), b],
    monitored: true,
    health: said({ a: 'UP 1/3', b: 'DOWN 1/2' }),
    wanted: { status: 'UP', members: { a: 'UP', b: 'DOWN' } },
  },
  {
    name: 'all down',
    members: [one(), b],
    monitored: true,
    health: said({ a: 'DOWN', b: 'DOWN' }),
    wanted: { status: 'DOWN', members: { a: 'DOWN', b: 'DOWN' } },
  },
  {
    name: 'the last one at weight 0 keeps the pool up',
    members: [one({ weight: 0 }), b],
    monitored: true,
    health: said({ a: 'UP', b: 'DOWN' }),
    wanted: { status: 'UP', members: { a: 'DRAIN', b: 'DOWN' } },
  },
  {
    name: 'not yet checked',
    members: [one()],
    monitored: true,
    wanted: { status: 'UP', members: { a: 'UP' } },
  },
];

const check = (rows: readonly Row[], origin: 'haproxy' | 'lvs', key: string): void => {
  for (const { name, members, monitored = false, health = silent, wanted } of rows) {
    t.test(`${origin}: ${name}`, async (t) => {
      const own: Pool = pool(members, { monitor: monitored ? monitor : null });
      const found = poolStatuses([listener('web', [own], { origin })], health);
      t.strictSame(Object.fromEntries(found), { [key]: wanted });
    });
  }
};
check(haproxyRows, 'haproxy', 'pool-1:web');
check(lvsRows, 'lvs', 'pool-1');

t.test('what is disabled is not reported', async (t) => {
  const off = listener('off', [pool([one()])], { origin: 'lvs', enabled: false, engine: 'none' });
  const on = listener('on', []);
  t.same(
    reportedListeners([off, on]).map(({ id }) => id),
    ['on'],
  );
  t.equal(poolStatuses([off, on], silent).size, 0);
});

const enabledIds = (items: readonly { readonly id: string; readonly enabled: boolean }[]) =>
  items.filter(({ enabled }) => enabled).map(({ id }) => id);

for (const { name, model, uploads } of readCases()) {
  for (const octavia of new Set(uploads.map((upload) => upload.octavia))) {
    t.test(`${name} of ${octavia}: the listeners that the controller counts`, async (t) => {
      // both amphorae of a pair get a config of the same listeners
      const texts = uploads.filter((upload) => upload.octavia === octavia);
      const pairs = texts.filter(({ grammar }) => grammar === 'haproxy').slice(0, 1);
      const listeners = [
        ...pairs.flatMap(({ text }) => parseHaproxyConfig(text).listeners),
        ...texts.filter(({ grammar }) => grammar === 'lvs').map(({ text }) => parseLvsConfig(text)),
      ];
      const wanted = model.enabled ? enabledIds(model.listeners) : [];
      t.same(
        reportedListeners(listeners)
          .map(({ id }) => id)
          .sort(),
        wanted.sort(),
      );
      const pools = new Set(model.pools.map(({ id }) => id));
      for (const [key, { members }] of poolStatuses(listeners, silent)) {
        const id = key.split(':')[0] ?? '';
        t.ok(pools.has(id), `pool ${id} is the controller's`);
        const known = model.pools.find((one) => one.id === id)?.members.map((one) => one.id) ?? [];
        t.same(Object.keys(members).sort(), known.sort(), `members of ${id}`);
      }
    });
  }
}
