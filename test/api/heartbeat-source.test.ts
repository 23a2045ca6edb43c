// SPDX-License-Identifier: Apache-2.0
// What heartbeats tell of an agent at work: committed listeners, both engines' counters, and restarts.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import type { ListenerCounters } from '../../agent/core/model/dataplane.js';
import { GRACE_MS } from '../../agent/core/report/presence.js';
import { heartbeatSource } from '../../agent/heartbeat-source.js';
import { type Bed, startBed, upload } from './recorders.js';

// a TCP listener that the datapath serves, a UDP listener, and an HTTP listener of HAProxy
const TCP = {
  lb: 'd6e7fb9c-10d5-58b1-b57d-dd6f77a882f9',
  file: 'a01-tcp/haproxy-08d76b82-11.0.0.cfg',
  listener: '5b5f836e-5c59-588b-b2bf-926403636453',
  pool: 'df082fac-e8e4-5e85-82d6-810546f745c3',
};
const UDP = 'a36-udp/lvs-8d1eafa7-11.0.0.conf';
const HTTP = 'a16-http/haproxy-55a1b864-11.0.0.cfg';

const counters = (n: number): ListenerCounters => ({
  ...{ rxPackets: 9, rxBytes: n, txPackets: 9, txBytes: 2 * n, flows: 3 * n, open: n, refusals: 1 },
  ...{ refusedAcl: 0, refusedLimit: 0, refusedNoMember: 0, refusedNoPort: 0, refusedTableFull: 0 },
  ...{ droppedGuard: 0, reselected: 0, pools: {} },
});

/** Answers every question with `answer.text`, as HAProxy does on its stats socket. */
const haproxySocket = async (t: Test) => {
  const directory = mkdtempSync(join(tmpdir(), 'amp-stats-'));
  const answer = { text: '' };
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => socket.end(answer.text));
  });
  const path = join(directory, 'stats.sock');
  server.listen(path);
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  return { answer, path };
};

/** The columns that matter, in an order of their own: names decide. */
const table = (pid: number, rows: readonly (readonly (string | number)[])[]): string =>
  [
    `Name: HAProxy\nPid: ${pid}\n`,
    '# pxname,svname,type,status,weight,scur,bin,bout,ereq,stot,',
    ...rows.map((row) => `${row.join(',')},`),
    '',
  ].join('\n');

const commit = async ({ app, directory }: Bed, id: string, file: string) => {
  const isLvs = file.includes('/lvs-');
  const where = isLvs
    ? `listeners/amphora/${id}/udp_listener`
    : `loadbalancer/amphora/${id}/haproxy`;
  const put = { method: 'PUT', url: `/1.0/${where}`, payload: upload(directory, file) } as const;
  const putAnswer = await app.inject(put);
  const action = isLvs ? 'start' : 'reload';
  const acted = await app.inject({ method: 'PUT', url: `/1.0/loadbalancer/${id}/${action}` });
  return [putAnswer.statusCode, acted.statusCode];
};

const sourceOf = (bed: Bed, sockets: readonly string[] = [], nowMs = () => 0) =>
  heartbeatSource({
    nowMs,
    amphora: { snapshot: () => bed.amphora.snapshot(), statsSockets: () => [...sockets] },
    dataplane: bed.dataplane,
    amphoraId: 'amphora',
    basePath: join(bed.directory, 'lib'),
    log: pino({ level: 'silent' }),
  });

const serve = (bed: Bed, listeners: Record<string, ListenerCounters>): void => {
  bed.dataplane.counters = () => ({ listeners, reasons: {}, eventsLost: 0 });
};

t.test('an amphora without listeners says so', async (t) => {
  const bed = await startBed(t.testdir());
  t.strictSame(await sourceOf(bed)(4), {
    id: 'amphora',
    seq: 4,
    listeners: {},
    pools: {},
    ver: 3,
  });
});

t.test('an upload is not told, what is committed is, and what stops is not any more', async (t) => {
  const bed = await startBed(t.testdir());
  const build = sourceOf(bed);
  await bed.app.inject({
    method: 'PUT',
    url: `/1.0/loadbalancer/amphora/${TCP.lb}/haproxy`,
    payload: upload(bed.directory, TCP.file),
  });
  t.strictSame((await build(0)).listeners, {});
  await bed.app.inject({ method: 'PUT', url: `/1.0/loadbalancer/${TCP.lb}/reload` });
  const { listeners, pools } = await build(1);
  t.strictSame(Object.keys(listeners), [TCP.listener]);
  t.strictSame(Object.keys(pools), [`${TCP.pool}:${TCP.listener}`]);
  t.same(Object.values(Object.values(pools)[0]?.members ?? {}), ['no check', 'no check']);
  await bed.app.inject({ method: 'PUT', url: `/1.0/loadbalancer/${TCP.lb}/stop` });
  t.strictSame((await build(2)).listeners, {});
});

t.test('the datapath counts TCP and UDP, and a restart repeats nothing', async (t) => {
  const directory = t.testdir();
  const bed = await startBed(directory);
  const udp = /Configuration for Listener (\S+)/.exec(upload(directory, UDP))?.[1] ?? '';
  t.strictSame(await commit(bed, TCP.lb, TCP.file), [202, 202]);
  t.strictSame(await commit(bed, udp, UDP), [200, 202]);
  serve(bed, { [TCP.listener]: counters(10), [udp]: counters(1) });
  const first = await sourceOf(bed)(0);
  t.strictSame(first.listeners[TCP.listener], {
    status: 'OPEN',
    stats: { tx: 20, rx: 10, conns: 10, totconns: 30, ereq: 0 },
  });
  t.strictSame(first.listeners[udp]?.stats, { tx: 2, rx: 1, conns: 1, totconns: 3, ereq: 0 });
  t.ok(
    Object.keys(first.pools).some((key) => !key.includes(':')),
    'a UDP pool has its bare id',
  );
  const file = join(directory, 'lib/stats_counters.json');
  t.equal(statSync(file).mode & 0o777, 0o640);
  t.match((JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>)[TCP.listener], {
    bin: 10,
    bout: 20,
    ereq: 0,
    stot: 30,
  });

  const restarted = await startBed(directory);
  serve(restarted, { [TCP.listener]: counters(12), [udp]: counters(1) });
  const { listeners } = await sourceOf(restarted)(0);
  t.same(listeners[TCP.listener]?.stats, { tx: 4, rx: 2, conns: 12, totconns: 6, ereq: 0 });
  t.same(listeners[udp]?.stats, { tx: 0, rx: 0, conns: 1, totconns: 0, ereq: 0 });
});

t.test('HAProxy counts and judges what it serves; silent, it costs no listener', async (t) => {
  const directory = t.testdir();
  const bed = await startBed(directory);
  const text = upload(directory, HTTP);
  const frontend = /^frontend (\S+)/m.exec(text)?.[1] ?? '';
  const backend = /^backend (\S+)/m.exec(text)?.[1] ?? '';
  const [a = '', b = ''] = [...text.matchAll(/^ +server (\S+)/gm)].map(([, id]) => id ?? '');
  const lb = /^# Configuration for loadbalancer (\S+)/m.exec(text)?.[1] ?? '';
  await commit(bed, lb, HTTP);
  const { answer, path } = await haproxySocket(t);
  const build = sourceOf(bed, [path]);
  const rows = (n: number) =>
    [
      [frontend, 'FRONTEND', 0, 'OPEN', '', n, n, 2 * n, n, 3 * n],
      [backend, a, 2, 'UP 1/3', 1, 1, 0, 0, '', 0],
      [backend, b, 2, 'DOWN', 1, 1, 0, 0, '', 0],
      [backend, 'BACKEND', 1, 'UP', 1, 1, 0, 0, '', 0],
    ] as const;
  answer.text = table(100, rows(5));
  const first = await build(0);
  t.strictSame(first.listeners, {
    [frontend]: { status: 'OPEN', stats: { tx: 10, rx: 5, conns: 5, totconns: 15, ereq: 5 } },
  });
  t.strictSame(first.pools, {
    [backend]: { status: 'UP', members: { [a]: 'UP 1/3', [b]: 'DOWN' } },
  });

  answer.text = '';
  const silent = await build(1);
  t.strictSame(silent.listeners[frontend]?.stats, {
    ...{ tx: 0, rx: 0, conns: 0, totconns: 0, ereq: 0 },
  });
  t.strictSame(Object.keys(silent.pools), [backend]);

  answer.text = table(100, rows(6));
  t.equal((await build(2)).listeners[frontend]?.stats.rx, 1, 'nothing was lost meanwhile');
  answer.text = table(101, rows(7));
  t.equal((await build(3)).listeners[frontend]?.stats.rx, 7, 'another worker began at 0');
  const none = await sourceOf(bed, ['/nonexistent.sock'])(4);
  t.strictSame(Object.keys(none.listeners), [frontend]);
});

t.test('a HAProxy that stays away takes its listeners out, and brings them back', async (t) => {
  const directory = t.testdir();
  const bed = await startBed(directory);
  const text = upload(directory, HTTP);
  const frontend = /^frontend (\S+)/m.exec(text)?.[1] ?? '';
  await commit(bed, /^# Configuration for loadbalancer (\S+)/m.exec(text)?.[1] ?? '', HTTP);
  await commit(bed, TCP.lb, TCP.file);
  const { answer, path } = await haproxySocket(t);
  let now = 5000;
  const build = sourceOf(bed, [path], () => now);
  const told = async () => {
    const { listeners, pools } = await build(0);
    return [listeners, pools].map((one) => Object.keys(one).some((key) => key.endsWith(frontend)));
  };
  t.strictSame(await told(), [true, true], 'it has not started yet');
  now += GRACE_MS;
  t.strictSame(await told(), [true, true], 'it takes long');
  now += 1;
  t.strictSame(await told(), [false, false], 'it does not come');
  t.ok(TCP.listener in (await build(0)).listeners, 'the datapath needs none');
  answer.text = table(100, [[frontend, 'FRONTEND', 0, 'OPEN', '', 1, 1, 1, 1, 1]]);
  t.strictSame(await told(), [true, true], 'there it is');
  answer.text = '';
  now += GRACE_MS;
  t.strictSame(await told(), [true, true], 'a restart');
});

t.test('a disk that takes nothing costs no heartbeat', async (t) => {
  const bed = await startBed(t.testdir());
  await commit(bed, TCP.lb, TCP.file);
  mkdirSync(join(bed.directory, 'lib/stats_counters.json.tmp/in-the-way'), { recursive: true });
  const build = sourceOf(bed);
  serve(bed, { [TCP.listener]: counters(10) });
  t.equal((await build(0)).listeners[TCP.listener]?.stats.rx, 10);
  t.equal((await build(1)).listeners[TCP.listener]?.stats.rx, 0, 'nor is anything told twice');
  rmSync(join(bed.directory, 'lib/stats_counters.json.tmp'), { recursive: true });
  await build(2);
  t.ok(statSync(join(bed.directory, 'lib/stats_counters.json')).size > 0, 'written when it can be');
});
