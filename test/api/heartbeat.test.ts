// SPDX-License-Identifier: Apache-2.0
// The sender of heartbeats against real sockets: when, where to, signed by which key, and when not.
import { createHmac } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inflateSync } from 'node:zlib';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { parseAgentConfig } from '../../agent/config.js';
import { type Heartbeat, buildHeartbeat } from '../../agent/core/report/heartbeat.js';
import type { PoolStatus } from '../../agent/core/report/statuses.js';
import { HeartbeatSender } from '../../agent/shell/heartbeat.js';
import { fixture } from './recorders.js';

const DEADLINE_MS = 5000;

/** A controller's health manager: remembers what it is told, and by which key. */
const controller = async (t: Test, address = '127.0.0.1') => {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const heard: { seq: number; key: string; message: Heartbeat; bytes: number; port: number }[] = [];
  socket.on('message', (data, { port }) => {
    const stream = data.subarray(0, -64);
    const sign = (key: string) => createHmac('sha256', key).update(stream).digest('hex');
    const key = ['key', 'other'].find((one) => sign(one) === data.subarray(-64).toString()) ?? '';
    const message = JSON.parse(inflateSync(stream).toString()) as Heartbeat;
    heard.push({ seq: message.seq, key, message, bytes: data.length, port });
  });
  socket.bind(0, address);
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  return { heard, port: socket.address().port };
};

const until = async (check: () => boolean): Promise<boolean> => {
  const end = Date.now() + DEADLINE_MS;
  while (!check() && Date.now() < end) await sleep(5);
  return check();
};

const message = (seq: number, pools: ReadonlyMap<string, PoolStatus> = new Map()): Heartbeat =>
  buildHeartbeat({
    amphoraId: 'amphora',
    seq,
    listenerIds: ['a'],
    deltas: new Map(),
    open: new Map(),
    pools,
  });

const start = (
  t: Test,
  controllers: readonly string[],
  build: (seq: number) => Promise<Heartbeat> = (seq) => Promise.resolve(message(seq)),
) => {
  const config = {
    basePath: t.testdir({ vrrp: {} }),
    controllers,
    heartbeatIntervalSeconds: 3600,
    heartbeatKey: 'key' as string | null,
  };
  const words: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => words.push(line) });
  const sender = new HeartbeatSender({ config: () => config, build, log });
  const done = sender.run();
  t.teardown(async () => {
    sender.stop();
    await done;
  });
  return { config, sender, words };
};

t.test('one at once, the others an interval apart, each to the next controller', async (t) => {
  const [a, b] = [await controller(t), await controller(t)];
  const { config, sender } = start(t, [`127.0.0.1:${a.port}`, `127.0.0.1:${b.port}`]);
  t.ok(await until(() => a.heard.length === 1));
  await sleep(100);
  t.strictSame([a.heard.length, b.heard.length], [1, 0], 'one destination per heartbeat');
  config.heartbeatIntervalSeconds = 0.05;
  sender.reconfigure();
  t.ok(await until(() => a.heard.length >= 3 && b.heard.length >= 3));
  t.strictSame(
    a.heard.slice(0, 3).map(({ seq }) => seq),
    [0, 2, 4],
  );
  t.strictSame(
    b.heard.slice(0, 3).map(({ seq }) => seq),
    [1, 3, 5],
  );
  t.equal(new Set(a.heard.map(({ port }) => port)).size, 1, 'one socket for all');
});

t.test('IPv6 with brackets and without, and names', async (t) => {
  const six = await controller(t, '::1');
  const four = await controller(t);
  const list = [`[::1]:${six.port}`, `::1:${six.port}`, `localhost:${four.port}`];
  const { config, sender } = start(t, list.slice(0, 2));
  config.heartbeatIntervalSeconds = 0.02;
  sender.reconfigure();
  t.ok(await until(() => six.heard.length >= 2));
  // whichever address the resolver puts first
  const named = await controller(t, '::1');
  config.controllers = [`localhost:${four.port}`, `localhost:${named.port}`];
  t.ok(await until(() => four.heard.length + named.heard.length >= 2));
});

t.test('destinations, key and interval change at once', async (t) => {
  const [before, after] = [await controller(t), await controller(t)];
  const { config, sender } = start(t, [`127.0.0.1:${before.port}`]);
  t.ok(await until(() => before.heard.length === 1));
  config.controllers = [`127.0.0.1:${after.port}`];
  config.heartbeatKey = 'other';
  sender.reconfigure();
  t.ok(await until(() => after.heard.length === 1), 'without waiting for an hour');
  t.same([before.heard[0]?.key, after.heard[0]?.key], ['key', 'other']);
  t.equal(before.heard.length, 1);
});

t.test('a controller that cannot be reached costs only its own heartbeats', async (t) => {
  const { heard, port } = await controller(t);
  const bad = ['fe80::1%nowhere:1', 'name.invalid:1', '192.0.2.1:1'];
  const { config, sender, words } = start(t, [...bad, `127.0.0.1:${port}`]);
  config.heartbeatIntervalSeconds = 0.01;
  sender.reconfigure();
  t.ok(await until(() => heard.length >= 2));
  t.strictSame(words, []);
});

const silences: readonly (readonly [string, (vrrp: string) => void, RegExp])[] = [
  ['no PID file', () => undefined, /no PID file/],
  [
    'nonsense in it',
    (vrrp) => {
      writeFileSync(join(vrrp, 'octavia-keepalived.pid'), 'pid\n');
    },
    /no PID file/,
  ],
  [
    'a process that is no more',
    (vrrp) => {
      writeFileSync(join(vrrp, 'octavia-keepalived.pid'), '4194303\n');
    },
    /does not run/,
  ],
];
for (const [name, prepare, reason] of silences) {
  t.test(`keepalived is configured, but ${name}: silence until it runs`, async (t) => {
    const { heard, port } = await controller(t);
    const { config, sender, words } = start(t, []);
    const vrrp = join(config.basePath, 'vrrp');
    writeFileSync(join(vrrp, 'octavia-keepalived.conf'), '');
    prepare(vrrp);
    config.controllers = [`127.0.0.1:${port}`];
    config.heartbeatIntervalSeconds = 0.02;
    sender.reconfigure();
    await sleep(200);
    t.equal(heard.length, 0);
    t.equal(words.filter((line) => reason.test(line)).length, 1, 'said once, not each time');
    writeFileSync(join(vrrp, 'octavia-keepalived.pid'), `${process.pid}\n`);
    t.ok(await until(() => heard.length > 0));
    t.equal(heard[0]?.seq, 0, 'nothing was counted while it was silent');
    rmSync(join(vrrp, 'octavia-keepalived.pid'));
    await sleep(50);
    const before = heard.length;
    await sleep(150);
    t.equal(heard.length, before, 'silent again');
    rmSync(join(vrrp, 'octavia-keepalived.conf'));
    t.ok(await until(() => heard.length > before), 'and not without a configuration');
  });
}

t.test('no key, no destination, a bad one: said once, and mended by a new config', async (t) => {
  const { heard, port } = await controller(t);
  const { config, sender, words } = start(t, []);
  t.ok(await until(() => words.some((line) => line.includes('no destination'))));
  config.heartbeatKey = null;
  sender.reconfigure();
  t.ok(await until(() => words.some((line) => line.includes('no heartbeat_key'))));
  config.heartbeatKey = 'key';
  config.controllers = [`127.0.0.1:${port}`, 'without a colon', '127.0.0.1:1'];
  sender.reconfigure();
  t.ok(await until(() => heard.length === 1), 'what stands before the bad entry is used');
  t.ok(await until(() => words.some((line) => line.includes('cut off at without a colon'))));
  t.notMatch(words.join('\n'), /"key"/, 'the key is in no log');
});

t.test('a heartbeat that cannot be built is not the last', async (t) => {
  const { heard, port } = await controller(t);
  let fails = 3;
  const { config, sender, words } = start(t, [], (seq) => {
    fails -= 1;
    return fails >= 0 ? Promise.reject(new Error('no counters')) : Promise.resolve(message(seq));
  });
  config.controllers = [`127.0.0.1:${port}`];
  config.heartbeatIntervalSeconds = 0.02;
  sender.reconfigure();
  t.ok(await until(() => heard.length >= 2));
  t.equal(words.filter((line) => line.includes('no counters')).length, 1);
  t.ok(words.some((line) => line.includes('heartbeats go out')));
});

t.test('a load balancer too large for a datagram is still alive', async (t) => {
  const { heard, port } = await controller(t);
  const random = (n: number) => createHmac('sha256', 'id').update(String(n)).digest('hex');
  const members = Object.fromEntries(Array.from({ length: 4000 }, (_, i) => [random(i), 'UP']));
  const pools = new Map<string, PoolStatus>([['p:a', { status: 'UP', members }]]);
  const { words } = start(t, [`127.0.0.1:${port}`], (seq) => Promise.resolve(message(seq, pools)));
  t.ok(await until(() => heard.length === 1));
  t.strictSame(heard[0]?.message.pools, { 'p:a': { status: 'UP', members: {} } });
  t.same(Object.keys(heard[0]?.message.listeners ?? {}), ['a']);
  t.match(words.join('\n'), /do not fit a datagram/);
});

t.test('the largest that fits arrives whole', async (t) => {
  const { heard, port } = await controller(t);
  const random = (n: number) => createHmac('sha256', 'id').update(String(n)).digest('hex');
  const members = Object.fromEntries(Array.from({ length: 1700 }, (_, i) => [random(i), 'UP']));
  const pools = new Map<string, PoolStatus>([['p:a', { status: 'UP', members }]]);
  start(t, [`127.0.0.1:${port}`], (seq) => Promise.resolve(message(seq, pools)));
  t.ok(await until(() => heard.length === 1));
  t.ok((heard[0]?.bytes ?? 0) > 60_000, `${heard[0]?.bytes ?? 0} bytes`);
  t.equal(Object.keys(heard[0]?.message.pools['p:a']?.members ?? {}).length, 1700);
});

t.test('the configs that controllers deliver name destinations, interval and key', async (t) => {
  for (const version of ['11.0.0', '16.0.0', 'master']) {
    const name = `${version}-SINGLE.conf`;
    const text = readFileSync(fixture(`amphora-agent.conf/${name}`), 'utf8');
    const { controllers, heartbeatIntervalSeconds, heartbeatKey } = parseAgentConfig('-', text);
    t.strictSame(controllers, ['192.0.2.10:5555', '2001:db8::10:5555'], name);
    t.equal(heartbeatIntervalSeconds, 10);
    t.equal(heartbeatKey, 'insecure-test-key');
  }
});
