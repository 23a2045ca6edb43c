// SPDX-License-Identifier: Apache-2.0
// The built-in supervisor: daemons that outlive the agent, die, are adopted, reloaded and stopped. Needs root.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import t from 'tap';
import { Supervisor } from '../../agent/shell/supervisor.js';
import type { Service } from '../../agent/shell/services.js';

const NETNS = `amp-${process.pid}-sup`;
execFileSync('ip', ['netns', 'add', NETNS]);
t.teardown(() => execFileSync('ip', ['netns', 'delete', NETNS]));

/** Writes its namespace at each start, and a line for each reload. */
const DAEMON = `
trap 'echo reload >> "$2"' USR2
trap 'exit 0' TERM
echo "start $(stat -L -c %i /proc/self/ns/net)" >> "$2"
echo ready
while :; do sleep 0.05; done
`;

const serviceIn = (directory: string): Service & { readonly events: () => string[] } => {
  const script = join(directory, 'daemon.sh');
  const journal = join(directory, 'journal');
  writeFileSync(script, DAEMON);
  writeFileSync(journal, '');
  return {
    name: 'daemon',
    program: '/bin/bash',
    args: [join(directory, 'daemon.pid'), journal],
    foregroundArgs: [script],
    pidFile: join(directory, 'daemon.pid'),
    reloadSignal: 'SIGUSR2',
    unit: '',
    events: () => readFileSync(journal, 'utf8').trim().split('\n').filter(Boolean),
  };
};

const supervisorIn = (directory: string): Supervisor =>
  new Supervisor({
    netns: `/var/run/netns/${NETNS}`,
    logDirectory: join(directory, 'log'),
    log: pino({ level: 'silent' }),
  });

const until = async (condition: () => boolean | Promise<boolean>): Promise<boolean> => {
  for (let i = 0; i < 100; i += 1) {
    if (await condition()) return true;
    await sleep(50);
  }
  return false;
};

const pidOf = ({ pidFile }: Service): number => Number(readFileSync(pidFile, 'utf8'));

t.test('starts in the namespace, reloads, restarts what died, stops', async (t) => {
  const directory = t.testdir();
  const service = serviceIn(directory);
  const supervisor = supervisorIn(directory);
  t.equal(await supervisor.isRunning(service), false);
  await t.rejects(supervisor.reload(service), 'nothing to reload');
  await supervisor.start(service);
  t.ok(await until(() => service.events().length === 1));
  const inode = execFileSync('stat', ['-L', '-c', '%i', `/var/run/netns/${NETNS}`], {
    encoding: 'utf8',
  });
  t.equal(service.events()[0], `start ${inode.trim()}`);
  await supervisor.start(service);
  t.equal(service.events().length, 1, 'a second start is none');
  t.ok(await until(async () => (await supervisor.lastWords(service)) === 'ready'));
  await supervisor.reload(service);
  t.ok(await until(() => service.events().includes('reload')));
  const first = pidOf(service);
  process.kill(first, 'SIGKILL');
  t.ok(await until(() => service.events().length === 3), 'started again');
  t.not(pidOf(service), first);
  await supervisor.stop(service);
  t.equal(await supervisor.isRunning(service), false);
  await sleep(800);
  t.equal(service.events().length, 3, 'stopped stays stopped');
  await supervisor.stop(service);
});

t.test('the next agent adopts what the last one started', async (t) => {
  const directory = t.testdir();
  const service = serviceIn(directory);
  const first = supervisorIn(directory);
  t.equal(await first.adopt(service), false);
  await first.start(service);
  await until(() => service.events().length === 1);
  const pid = pidOf(service);
  first.release();
  const second = supervisorIn(directory);
  t.equal(await second.adopt(service), true);
  t.equal(pidOf(service), pid);
  process.kill(pid, 'SIGKILL');
  t.ok(await until(() => service.events().length === 2), 'and keeps it running');
  await second.stop(service);
});

t.test('a PID that belongs to somebody else now is not the daemon', async (t) => {
  const directory = t.testdir();
  const service = serviceIn(directory);
  writeFileSync(service.pidFile, `${process.pid}\n`);
  const supervisor = supervisorIn(directory);
  t.equal(await supervisor.isRunning(service), false);
  await supervisor.stop(service); // would end this test if it believed the file
});
