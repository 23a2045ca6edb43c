// SPDX-License-Identifier: Apache-2.0
// A real HAProxy under the built-in supervisor, and the health that its checks find. Needs root.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { Haproxy, peerName } from '../../agent/shell/haproxy.js';
import { HealthWatch } from '../../agent/shell/health.js';
import { readMemberChecks } from '../../agent/shell/member-checks.js';
import type { Service } from '../../agent/shell/services.js';
import { Store } from '../../agent/shell/store.js';
import { Supervisor } from '../../agent/shell/supervisor.js';

const NAMESPACE = `amp-${process.pid}-hap`;
const NETNS = `/var/run/netns/${NAMESPACE}`;
const log = pino({ level: 'silent' });
execFileSync('ip', ['netns', 'add', NAMESPACE]);
execFileSync('ip', ['-n', NAMESPACE, 'link', 'set', 'lo', 'up']);
t.teardown(() => execFileSync('ip', ['netns', 'delete', NAMESPACE]));

const ID = 'lb-1';
const KEY = 'pool:listener/member';

const bedIn = (directory: string) => {
  const store = new Store({
    basePath: directory,
    baseCertDir: join(directory, 'certs'),
    stateDirectory: join(directory, 'state'),
  });
  const services = new Supervisor({ netns: NETNS, logDirectory: join(directory, 'log'), log });
  const haproxy = new Haproxy({
    program: '/usr/sbin/haproxy',
    userGroupFile: join(directory, 'no-such-file'),
    amphoraId: 'amphora',
    namespace: NAMESPACE,
    baseCertDir: join(directory, 'certs'),
    store,
    services,
    log,
  });
  const socket = store.statsSocket(ID);
  const remainder = (text: string | null) => ({ loadBalancerId: ID, text, statsSocket: socket });
  const config = (port: number, more = ''): string =>
    [
      'global',
      `    stats socket ${socket} mode 0666 level user`,
      `    server-state-file ${directory}/${ID}/servers-state`,
      '    maxconn 1000000',
      'backend pool:listener',
      '    load-server-state-from-file global',
      '    timeout connect 1s',
      '    timeout server 1s',
      `    server member 127.0.0.1:${port} check inter 100ms fall 2 rise 2`,
      more,
      '',
    ].join('\n');
  const pid = (): number => Number(readFileSync(join(directory, ID, `${ID}.pid`), 'utf8'));
  return { haproxy, services, remainder, config, pid, socket, store };
};

/** A socket's path has at most 97 characters. */
const shortDirectory = (t: Test): string => {
  const directory = mkdtempSync(join(tmpdir(), 'amp-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  return directory;
};

/** A TCP server in the namespace. */
const member = async (t: Test, port: number): Promise<ChildProcess> => {
  const script = `require('net').createServer((s) => s.end()).listen(${port}, () => console.log('up'))`;
  const child = spawn('nsenter', [`--net=${NETNS}`, '--', process.execPath, '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return child;
};

const until = async (condition: () => boolean): Promise<boolean> => {
  for (let i = 0; i < 100 && !condition(); i += 1) await sleep(50);
  return condition();
};

t.test('an init system’s HAProxy finds where its PID file goes, without any upload', async (t) => {
  const { haproxy, services, remainder, config } = bedIn(shortDirectory(t));
  let found = false;
  services.start = (service: Service): Promise<void> => {
    found = existsSync(dirname(service.pidFile));
    return Promise.reject(new Error('enough seen'));
  };
  await t.rejects(haproxy.bring(remainder(config(8001)), 'reload', true));
  t.ok(found);
});

t.test('started, undisturbed, reloaded, refused, adopted, stopped', async (t) => {
  const directory = shortDirectory(t);
  const { haproxy, services, remainder, config, pid } = bedIn(directory);
  t.teardown(() => haproxy.stop(ID));
  t.equal(await haproxy.bring(remainder(null), 'reload', true), 'idle');
  t.equal(
    await haproxy.bring(remainder(config(8001)), 'reload', true),
    'started',
    'a million connections',
  );
  const master = pid();
  t.equal(await haproxy.bring(remainder(config(8001)), 'reload', true), 'unchanged');
  t.equal(await haproxy.bring(remainder(config(8002)), 'reload', true), 'reloaded');
  t.equal(pid(), master, 'the master stays');
  const certificate = `# ${directory}/certs/a.pem`;
  t.equal(await haproxy.bring(remainder(config(8002, certificate)), 'reload', true), 'reloaded');
  t.equal(
    await haproxy.bring(remainder(config(8002, certificate)), 'reload', true),
    'reloaded',
    'the same text, but a certificate may have changed',
  );
  await t.rejects(haproxy.bring(remainder(config(8002, '    no-such-word')), 'reload', true), {
    code: 'SERVICE_FAILED',
    body: { message: 'Error reloading haproxy', details: /no-such-word/ },
  });
  t.equal(pid(), master);
  t.equal(await haproxy.isRunning(ID), true, 'the last good config goes on');

  services.release();
  const next = bedIn(directory);
  t.equal(await next.haproxy.adopt(next.remainder(config(8002, certificate))), 'unchanged');
  t.equal(await next.haproxy.adopt(next.remainder(config(8003))), 'reloaded', 'another config');
  t.equal(pid(), master);
  t.equal(await next.haproxy.bring(next.remainder(null), 'reload', true), 'stopped');
  t.equal(await haproxy.isRunning(ID), false);
});

t.test('a config of more connections than files is reloaded as one of less', async (t) => {
  const { haproxy, remainder, config, pid } = bedIn(shortDirectory(t));
  t.teardown(() => haproxy.stop(ID));
  const few = config(8001).replace('1000000', '100');
  t.equal(await haproxy.bring(remainder(few), 'reload', true), 'started');
  const master = pid();
  t.equal(await haproxy.bring(remainder(config(8001)), 'reload', true), 'reloaded');
  t.equal(await haproxy.bring(remainder(config(8001)), 'reload', false), 'unchanged');
  t.equal(pid(), master, 'the master stays, with the arguments of its start');
});

t.test('health: optimistic, down, up again, kept over a reload', async (t) => {
  const directory = shortDirectory(t);
  const { haproxy, remainder, config, socket } = bedIn(directory);
  t.teardown(() => haproxy.stop(ID));
  const server = await member(t, 8011);
  const changes: string[][] = [];
  const health = new HealthWatch({
    sockets: () => [socket],
    pollMs: 20,
    onChange: (down) => changes.push([...down]),
    log,
  });
  t.teardown(() => {
    health.stop();
  });
  await health.look();
  t.strictSame([...health.down], [], 'no HAProxy yet: everybody is up');
  await haproxy.bring(remainder(config(8011)), 'start', true);
  void health.watch();
  await sleep(500);
  t.strictSame(changes, []);
  const killed = Date.now();
  server.kill('SIGKILL');
  t.ok(await until(() => changes.length === 1));
  t.ok(Date.now() - killed < 2 * 100 + 1000, 'within fall times inter and a second');
  t.strictSame(changes, [[KEY]]);
  t.match((await readMemberChecks([socket])).get(KEY), /^DOWN.*L4CON/);
  await haproxy.bring(remainder(`${config(8011)}# changed\n`), 'reload', true);
  await sleep(300);
  t.strictSame(changes, [[KEY]], 'the new worker knows what the old one knew');
  await member(t, 8011);
  t.ok(await until(() => changes.length === 2));
  t.strictSame(changes, [[KEY], []]);
});

t.test("the name of the peer is the controller's", (t) => {
  const config = readFileSync(
    join(
      import.meta.dirname,
      '../fixtures/controller-configs/a35-active-standby',
      'haproxy-3807b70b-11.0.0.cfg',
    ),
    'utf8',
  );
  const fixture = JSON.parse(
    readFileSync(
      join(import.meta.dirname, '../fixtures/controller-configs/a35-active-standby/case.json'),
      'utf8',
    ),
  ) as { model: { amphorae: { id: string }[] } };
  for (const { id } of fixture.model.amphorae) t.match(config, `peer ${peerName(id)} `);
  t.end();
});
