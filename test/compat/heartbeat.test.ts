// SPDX-License-Identifier: Apache-2.0
// Our heartbeats, as Octavia's own health manager reads them into its database.
import t from 'tap';
import type { Listener } from '../../agent/core/model/load-balancer.js';
import { parseHaproxyConfig } from '../../agent/core/parse/haproxy-cfg.js';
import { parseLvsConfig } from '../../agent/core/parse/keepalived-lvs.js';
import { buildHeartbeat, sealHeartbeat } from '../../agent/core/report/heartbeat.js';
import {
  type PoolStatus,
  poolStatuses,
  reportedListeners,
} from '../../agent/core/report/statuses.js';
import { type Case, type PoolModel, readCases } from '../core/controller-cases.js';
import { KEY, startHealthManager } from './health-manager.js';

const manager = startHealthManager();
t.teardown(() => manager.stop());

const heartbeat = (
  amphoraId: string,
  changes: Partial<Parameters<typeof buildHeartbeat>[0]>,
): Buffer =>
  sealHeartbeat(
    buildHeartbeat({
      amphoraId,
      seq: 0,
      listenerIds: [],
      deltas: new Map(),
      open: new Map(),
      pools: new Map(),
      ...changes,
    }),
    KEY,
  );

t.test('a datagram is verified and decoded', async (t) => {
  const pools = new Map<string, PoolStatus>([['p:l', { status: 'UP', members: { m: 'UP 1/3' } }]]);
  const input = { listenerIds: ['l'], pools, seq: 3 };
  const { document, warnings } = await manager.unwrap(heartbeat('amphora', input));
  t.same(warnings, []);
  t.strictSame(document, {
    id: 'amphora',
    seq: 3,
    ver: 3,
    listeners: {
      l: { status: 'OPEN', stats: { tx: 0, rx: 0, conns: 0, totconns: 0, ereq: 0 } },
    },
    pools: { 'p:l': { status: 'UP', members: { m: 'UP 1/3' } } },
  });
});

t.test('one flipped bit, and the datagram is dropped', async (t) => {
  const datagram = heartbeat('amphora', {});
  datagram.writeUInt8(datagram.readUInt8(9) ^ 1, 9);
  t.match((await manager.unwrap(datagram)).error, /InvalidHMACException/);
});

/** One load balancer with a listener, a pool and a member, all of its name. */
const makeOne = (name: string, members: readonly string[] = [`${name}-m`]) =>
  manager.make({
    id: name,
    amphora: `${name}-a`,
    enabled: true,
    provisioning_status: 'ACTIVE',
    listeners: [{ id: `${name}-l`, enabled: true, default_pool: `${name}-p` }],
    pools: [{ id: `${name}-p`, enabled: true, members }],
  });

const vocabulary = [
  ['UP', 'UP', 'ONLINE', 'ONLINE', 'ONLINE'],
  ['UP 2/3', 'UP', 'ONLINE', 'ONLINE', 'ONLINE'],
  ['no check', 'UP', 'NO_MONITOR', 'ONLINE', 'ONLINE'],
  ['DOWN', 'UP', 'ERROR', 'DEGRADED', 'DEGRADED'],
  ['DOWN 1/2', 'UP', 'ERROR', 'DEGRADED', 'DEGRADED'],
  ['DOWN', 'DOWN', 'ERROR', 'ERROR', 'ERROR'],
  ['DRAIN', 'DOWN', 'DRAINING', 'ERROR', 'ERROR'],
  ['MAINT', 'DOWN', 'OFFLINE', 'ERROR', 'ERROR'],
] as const;
for (const [index, [word, status, member, pool, loadBalancer]] of vocabulary.entries()) {
  for (const key of ['bare', 'with the listener']) {
    t.test(`member ${word} of a pool ${status}, its key ${key}`, async (t) => {
      const name = `v${index}-${key === 'bare' ? 'lvs' : 'haproxy'}`;
      await makeOne(name);
      const poolKey = key === 'bare' ? `${name}-p` : `${name}-p:${name}-l`;
      const pools = new Map<string, PoolStatus>([
        [poolKey, { status, members: { [`${name}-m`]: word } }],
      ]);
      const said = await manager.receive(
        heartbeat(`${name}-a`, { listenerIds: [`${name}-l`], pools }),
      );
      t.same(said.warnings, []);
      t.ok(said.heard?.includes(`${name}-a`), 'the amphora lives');
      t.match(said.statuses, {
        [name]: loadBalancer,
        [`${name}-l`]: 'ONLINE',
        [`${name}-p`]: pool,
        [`${name}-m`]: member,
      });
    });
  }
}

t.test('one listener too few or too many, and the amphora counts as silent', async (t) => {
  await makeOne('count');
  for (const listenerIds of [[], ['count-l', 'other']]) {
    const said = await manager.receive(heartbeat('count-a', { listenerIds }));
    t.notOk(said.heard?.includes('count-a'));
    t.match(said.warnings.join('\n'), /reports \d listeners when 1 expected/);
  }
  const { heard } = await manager.receive(heartbeat('count-a', { listenerIds: ['count-l'] }));
  t.ok(heard?.includes('count-a'));
});

t.test('statistics add up, connections are replaced', async (t) => {
  await makeOne('stats');
  const send = (n: number) =>
    manager.receive(
      heartbeat('stats-a', {
        listenerIds: ['stats-l'],
        deltas: new Map([['stats-l', { bin: n, bout: 2 * n, ereq: 0, stot: 3 * n }]]),
        open: new Map([['stats-l', n]]),
      }),
    );
  await send(2 ** 40);
  const { statistics, warnings } = await send(5);
  t.same(warnings, []);
  t.strictSame(statistics?.['stats-l'], {
    bytes_in: 2 ** 40 + 5,
    bytes_out: 2 ** 41 + 10,
    active_connections: 5,
    total_connections: 3 * 2 ** 40 + 15,
    request_errors: 0,
  });
});

/** What the operator wants to read of a member nobody has found down. */
const memberStatus = (
  { enabled, weight }: PoolModel['members'][number],
  { isMonitored, isLvs }: { isMonitored: boolean; isLvs: boolean },
): string => {
  if (!enabled) return 'OFFLINE';
  if (weight === 0 && (isMonitored || isLvs)) return 'DRAINING';
  return isMonitored ? 'ONLINE' : 'NO_MONITOR';
};

const listenersOf = ({ uploads }: Case, octavia: string): Listener[] => {
  const texts = uploads.filter((upload) => upload.octavia === octavia);
  return [
    // of a pair, one amphora's
    ...texts
      .filter(({ grammar }) => grammar === 'haproxy')
      .slice(0, 1)
      .flatMap(({ text }) => parseHaproxyConfig(text).listeners),
    ...texts.filter(({ grammar }) => grammar === 'lvs').map(({ text }) => parseLvsConfig(text)),
  ];
};

for (const recorded of readCases()) {
  const { name, model } = recorded;
  const [octavia = ''] = recorded.uploads.map((upload) => upload.octavia);
  t.test(`${name}: everything is as its owner configured it`, async (t) => {
    const made = await manager.make({
      id: model.id,
      amphora: `${name}-amphora`,
      enabled: model.enabled,
      provisioning_status: 'ACTIVE',
      listeners: model.listeners,
      pools: model.pools.map(({ id, enabled, members }) => ({
        id,
        enabled,
        members: members.map((member) => member.id),
      })),
    });
    t.equal(made.error, undefined);
    const listeners = listenersOf(recorded, octavia);
    const listenerIds = reportedListeners(listeners).map(({ id }) => id);
    const pools = poolStatuses(listeners, { words: new Map(), down: new Set() });
    const said = await manager.receive(heartbeat(`${name}-amphora`, { listenerIds, pools }));
    t.same(said.warnings, []);
    t.ok(said.heard?.includes(`${name}-amphora`), 'the amphora lives');
    t.equal(said.statuses?.[model.id], model.enabled ? 'ONLINE' : 'OFFLINE', 'load balancer');
    for (const { id, enabled } of model.listeners) {
      const wanted = enabled && model.enabled ? 'ONLINE' : 'OFFLINE';
      // what is disabled with its load balancer is an error to the health manager, as with the reference
      const isDisabledWhole = enabled && !model.enabled;
      if (!isDisabledWhole) t.equal(said.statuses?.[id], wanted, `listener ${id}`);
    }
    const used = new Map(
      listeners.flatMap((one) => one.pools.map((pool) => [pool.id, { one, pool }])),
    );
    for (const pool of model.pools) {
      const shown = used.get(pool.id);
      const wanted = shown === undefined ? 'OFFLINE' : 'ONLINE';
      t.equal(said.statuses?.[pool.id], wanted, `pool ${pool.id}`);
      for (const member of pool.members) {
        const how = {
          isMonitored: shown !== undefined && shown.pool.monitor !== null,
          isLvs: shown?.one.origin === 'lvs',
        };
        const status = shown === undefined ? 'OFFLINE' : memberStatus(member, how);
        t.equal(said.statuses?.[member.id], status, `member ${member.id}`);
      }
    }
  });
}
