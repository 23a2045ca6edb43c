// SPDX-License-Identifier: Apache-2.0
// The store of secrets on this machine, in a mount namespace of its own.
import { spawn } from 'node:child_process';
import { accessSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { inCheckout } from '../support/paths.js';
import { ended, run, until } from '../support/run.js';
import { checkMemory, checkSealed, type Place } from '../support/seal-lifecycle.js';

const holder = spawn('unshare', ['--mount', '--propagation', 'private', 'sleep', 'infinity'], {
  stdio: 'ignore',
});
t.teardown(async () => {
  holder.kill();
  await ended(holder);
});
const top = mkdtempSync('/tmp/amp-seal-');
t.teardown(() => {
  rmSync(top, { recursive: true });
});

const placeAt = (name: string): Place => ({
  sh: (script) =>
    run('nsenter', [`--mount=/proc/${holder.pid ?? 0}/ns/mnt`, 'sh', '-c', script], {
      timeoutMs: 300_000,
    }),
  command: `${process.execPath} ${inCheckout('dist/agent/bin/amphora-seal.js')}`,
  directory: join(top, name),
});

const canSeal = (): boolean => {
  try {
    accessSync('/usr/sbin/cryptsetup');
    return readFileSync('/proc/misc', 'utf8').includes('device-mapper');
  } catch {
    return false;
  }
};

t.before(() =>
  // The namespace is there a moment after the process.
  until('a mount namespace of its own', async () => {
    const of = (pid: number | string) => run('readlink', [`/proc/${pid}/ns/mnt`]);
    return (await of(holder.pid ?? 0)) !== (await of('self'));
  }),
);

checkMemory(t, placeAt('memory'));
const lack = 'this machine lacks device-mapper or cryptsetup: tested in a guest by test/image';
t.test('sealed', { skip: canSeal() ? false : lack }, async (t) => {
  checkSealed(t, placeAt('sealed'));
});
