#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// amphora-config-drive [--root DIRECTORY] DEVICE|DIRECTORY: places what a controller delivers on the config drive,
// seconds before cloud-init could. Exit status: 0 also when files are missing, which come by user data then; 1 failed;
// 2 wrong usage.
import { stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { parseArgs } from 'node:util';
import { textOf } from '../errors.js';
import { type Placed, placeDrive, withDrive } from '../shell/config-drive.js';
import { writeFileAtomic } from '../shell/files.js';
import { run } from '../shell/run.js';

const USAGE =
  'usage: amphora-config-drive [--root DIRECTORY] DEVICE|DIRECTORY, absolute paths all\n';
/** Tells those who come later that the agent has all it needs. */
const COMPLETE = '/run/amphora-config-drive/complete';
/** What cloud-init reads beside /etc/cloud at its start: the network is done. */
const NO_NETWORK = ['/run/cloud-init/cloud.cfg', 'network: {config: disabled}\n'] as const;
/** Lines as pino's, without waiting for pino: on a small machine to load it takes as long as the work itself. */
const say = (level: number, fields: object, msg: string): void => {
  process.stderr.write(`${JSON.stringify({ level, time: Date.now(), ...fields, msg })}\n`);
};
const log = {
  warn: ({ err, ...fields }: { err?: unknown }, message: string): void => {
    say(40, err === undefined ? fields : { ...fields, error: textOf(err) }, message);
  },
};

const readCall = () => {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { root: { type: 'string', default: '' } },
    });
    const [drive, ...rest] = positionals;
    if (drive === undefined || rest.length > 0) return null;
    const isPlace = isAbsolute(drive) && (values.root === '' || isAbsolute(values.root));
    return isPlace ? { root: values.root, drive } : null;
  } catch {
    return null;
  }
};

/** For services that began before the drive was found; those that are not running read the files anyway. */
const tellServices = async ({ files, hasNetwork }: Placed): Promise<void> => {
  const restart = ['--no-block', 'try-restart', 'rsyslog.service'];
  if (files.some((path) => path.startsWith('/etc/rsyslog.d/'))) await run('systemctl', restart);
  const reload = ['--no-block', 'try-reload-or-restart', 'systemd-networkd.service'];
  if (hasNetwork) await run('systemctl', reload);
};

const call = readCall();
if (call === null) {
  process.stderr.write(USAGE);
  process.exit(2);
}
const { root, drive } = call;
try {
  const use = (directory: string): Promise<Placed> => placeDrive(directory, { root, log });
  const isDirectory = (await stat(drive)).isDirectory();
  const placed = await (isDirectory ? use(drive) : withDrive(drive, use));
  if (placed.hasNetwork) await writeFileAtomic(root + NO_NETWORK[0], NO_NETWORK[1]);
  if (placed.isComplete) await writeFileAtomic(root + COMPLETE, '');
  if (root === '') await tellServices(placed);
  say(30, placed, 'config drive read');
} catch (error) {
  process.stdout.write(`Error: ${textOf(error)}\n`);
  process.exitCode = 1;
}
