// SPDX-License-Identifier: Apache-2.0
// Versions as the controller can read them, whatever package manager there is (contract P15).
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readMachine, readVersions } from '../../agent/shell/host.js';
import { run } from '../support/run.js';

const { PATH = '' } = process.env;
t.teardown(() => (process.env['PATH'] = PATH));

/** A machine on which these programs say these things; every other program that is asked fails. */
const machine = (directory: string, programs: Readonly<Record<string, string>>): void => {
  for (const name of ['dpkg-query', 'rpm', 'haproxy']) {
    const words = programs[name];
    const script = words === undefined ? 'exit 1' : `printf '%s' '${words}'`;
    writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(directory, name), 0o755);
  }
  process.env['PATH'] = `${directory}:${PATH}`;
};
const versionsOf = async (directory: string, programs: Readonly<Record<string, string>>) => {
  machine(directory, programs);
  const { haproxy_version: version, api_version: api } = await readVersions(
    join(directory, 'haproxy'),
  );
  // What the controller does with it: the first two parts, the first of them a number.
  t.ok(Number.isInteger(Number(version.split('.')[0])), version);
  return { version, api };
};

t.test('the version of HAProxy begins with a number, come what may', async (t) => {
  for (const [what, programs, version] of [
    ['a package', { 'dpkg-query': '2.6.12-1+deb12u4' }, '2.6.12-1+deb12u4'],
    ['an epoch', { 'dpkg-query': '1:2.8.3-1' }, '2.8.3-1'],
    ['an RPM', { rpm: '2.4.22' }, '2.4.22'],
    ['no package', { haproxy: 'HAProxy version 3.0.5-8e879a5 2024/09/19' }, '3.0.5-8e879a5'],
    ['no HAProxy', {}, '0.0'],
    ['nonsense', { 'dpkg-query': 'no packages found matching', haproxy: 'oops' }, '0.0'],
  ] as const) {
    t.strictSame(await versionsOf(t.testdir(), programs), { version, api: '1.0' }, what);
  }
});

t.test('all processors count, also those that this process may not use', async (t) => {
  const affinity = /: (\S+)\s*$/.exec(await run('taskset', ['-cp', String(process.pid)]))?.[1];
  const pin = (list: string) => run('taskset', ['-cp', list, String(process.pid)]);
  t.teardown(() => pin(affinity ?? '0'));
  const [first = '0'] = /^\d+/.exec(affinity ?? '') ?? [];
  await pin(first);
  const online = Number(await run('getconf', ['_NPROCESSORS_ONLN']));
  t.equal((await readMachine()).cpu_count, online);
});
