// SPDX-License-Identifier: Apache-2.0
// The real keepalived under the built-in supervisor: it guards its PID file and ends over a config that it dislikes.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import t from 'tap';
import { Keepalived } from '../../agent/shell/keepalived.js';
import { Supervisor } from '../../agent/shell/supervisor.js';

const NETNS = `amp-${process.pid}-kad`;
execFileSync('ip', ['netns', 'add', NETNS]);
t.teardown(() => execFileSync('ip', ['netns', 'delete', NETNS]));
execFileSync('ip', ['-n', NETNS, 'link', 'add', 'eth1', 'type', 'bridge']);
execFileSync('ip', ['-n', NETNS, 'address', 'add', '10.0.0.20/24', 'dev', 'eth1']);
execFileSync('ip', ['-n', NETNS, 'link', 'set', 'eth1', 'up']);

const NO_DUTY = { haproxySockets: [], haproxyConfigs: 0, lvsListeners: 0, datapathListeners: 0 };
const fixture = readFileSync(
  join(
    import.meta.dirname,
    '../fixtures/controller-configs/a35-active-standby/vrrp-3807b70b-11.0.0.conf',
  ),
  'utf8',
);

const keepalivedIn = (directory: string) => {
  const log = pino({ level: 'silent' });
  const services = new Supervisor({
    netns: `/var/run/netns/${NETNS}`,
    logDirectory: join(directory, 'log'),
    log,
  });
  const keepalived = new Keepalived({
    program: '/usr/sbin/keepalived',
    basePath: directory,
    stoppedMark: join(directory, 'stopped'),
    namespace: NETNS,
    logFacility: () => 1,
    commands: { haproxy: '/bin/true', datapath: '/bin/true' },
    services,
    log,
  });
  return { keepalived, services, pidFile: join(directory, 'vrrp/octavia-keepalived.pid') };
};
/** True while the number in the file is that of a keepalived which was told of this file. */
const isRunning = (pidFile: string): boolean => {
  try {
    const pid = readFileSync(pidFile, 'utf8').trim();
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return words.includes(pidFile) && /keepalived$/.test(words[0] ?? '');
  } catch {
    return false;
  }
};
const upload = (directory: string, text: string): Buffer =>
  Buffer.from(text.replaceAll('/var/lib/octavia', directory));

t.test('starts over the PID file of another process, reloads, stops', async (t) => {
  const directory = t.testdir();
  const { keepalived, services, pidFile } = keepalivedIn(directory);
  t.teardown(() => {
    services.release();
  });
  await keepalived.upload(upload(directory, fixture), NO_DUTY);
  mkdirSync(join(directory, 'vrrp'), { recursive: true });
  writeFileSync(pidFile, `${process.pid}\n`);
  t.equal(isRunning(pidFile), false, 'the number is of somebody else');
  t.equal(await keepalived.act('start'), 'keepalived started');
  const pid = readFileSync(pidFile, 'utf8');
  await sleep(1000);
  t.equal(isRunning(pidFile), true);
  t.equal(await keepalived.act('start'), 'keepalived reloaded');
  await sleep(500);
  t.equal(readFileSync(pidFile, 'utf8'), pid, 'the same process');
  t.equal(await keepalived.act('stop'), 'keepalived stoped');
  t.equal(isRunning(pidFile), false);
});

t.test('a config that names no interface is no failure of the start', async (t) => {
  const directory = t.testdir();
  const { keepalived, services, pidFile } = keepalivedIn(directory);
  t.teardown(() => {
    services.release();
  });
  await keepalived.upload(upload(directory, fixture.replaceAll('eth1', 'None')), NO_DUTY);
  t.equal(await keepalived.act('start'), 'keepalived started');
  await sleep(500);
  t.equal(isRunning(pidFile), false);
  await keepalived.upload(upload(directory, fixture), NO_DUTY);
  // The supervisor may be trying again at this very moment, and then this is a reload.
  t.match(await keepalived.act('start'), /^keepalived (started|reloaded)$/);
  await sleep(4000);
  t.equal(isRunning(pidFile), true, 'with the right config it runs');
  await keepalived.act('stop');
});
