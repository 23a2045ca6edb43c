#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// amphora-seal [--root DIRECTORY] [--mapping NAME] DEVICE|DIRECTORY: puts the amphora's secrets into a store that only
// its config drive opens. Before whoever places the drive's files. Exit status 0 also where memory has to do.
import { stat } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { type BootSecret, parseBootSecret } from '../core/boot/seal.js';
import { textOf } from '../errors.js';
import { readDrive, withDrive } from '../shell/config-drive.js';
import { bringStore } from '../shell/sealed-store.js';

const USAGE = 'usage: amphora-seal [--root DIRECTORY] [--mapping NAME] DEVICE|DIRECTORY\n';
const log = pino({}, pino.destination({ fd: 2, sync: true }));

const readCall = () => {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        root: { type: 'string', default: '' },
        mapping: { type: 'string', default: 'amphora-store' },
      },
    });
    const [drive, ...rest] = positionals;
    return drive === undefined || rest.length > 0 ? null : { ...values, drive };
  } catch {
    return null;
  }
};

const readSecret = async (drive: string): Promise<BootSecret | null> => {
  const use = async (directory: string): Promise<BootSecret | null> =>
    parseBootSecret(await readDrive(directory, 'latest/meta_data.json'));
  try {
    const isDirectory = (await stat(drive)).isDirectory();
    return await (isDirectory ? use(drive) : withDrive(drive, use));
  } catch (error) {
    log.error({ err: error }, 'the config drive cannot be read');
    return null;
  }
};

const call = readCall();
if (call === null) {
  process.stderr.write(USAGE);
  process.exit(1);
}
const { root, mapping, drive } = call;
try {
  const kind = await bringStore(await readSecret(drive), { root, mapping, log });
  process.stdout.write(`${kind}\n`);
} catch (error) {
  process.stdout.write(`Error: ${textOf(error)}\n`);
  process.exitCode = 2;
}
