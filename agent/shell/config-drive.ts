// SPDX-License-Identifier: Apache-2.0
// The config drive, read without cloud-init: mounts it read-only, places what the controller delivers, lets go.
import { constants } from 'node:fs';
import { mkdir, open, realpath, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  type DriveFile,
  type DriveMetadata,
  NEEDED_FILES,
  parseDriveMetadata,
} from '../core/boot/drive-metadata.js';
import { networkFiles } from '../core/boot/drive-network.js';
import { isMissing, readIfPresent, writeFileAtomic } from './files.js';
import { run } from './run.js';

export interface ConfigDriveOptions {
  /** Before every path that is written; '' in the image. */
  readonly root: string;
  readonly log: { warn(fields: object, message: string): void };
}

export interface Placed {
  /** Paths whose bytes changed. */
  readonly files: readonly string[];
  /** True when each file that the agent needs is there. */
  readonly isComplete: boolean;
  /** True when systemd-networkd has what it needs. */
  readonly hasNetwork: boolean;
}

/** The controller sends 10 kB at most, Nova takes no more than 64. */
const MAX_BYTES = 256 * 1024;
const STATE = '/var/lib/amphora-config-drive/instance';
const NETWORK_DIRECTORY = '/run/systemd/network';
const PLUGGED = '/var/lib/octavia/plugged_interfaces';

/** Mounts `device`, calls `use` with the directory, and unmounts. Throws when it is no such file system. */
export const withDrive = async <Value>(
  device: string,
  use: (directory: string) => Promise<Value>,
): Promise<Value> => {
  const directory = '/run/amphora-config-drive/mnt';
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const safe = 'ro,nosuid,nodev,noexec';
  await run('mount', ['-t', 'iso9660,vfat', '-o', safe, '--', device, directory]);
  try {
    return await use(directory);
  } finally {
    await run('umount', [directory]);
    await rmdir(directory);
  }
};

/**
 * Places the files of a mounted drive. A file that this machine already has is kept when the drive is the one of its
 * first boot: a certificate rotated since then must survive a reboot (contract 5.11). The network's files live in
 * /run and are written at each boot.
 */
export const placeDrive = async (
  directory: string,
  { root, log }: ConfigDriveOptions,
): Promise<Placed> => {
  const metadata = parseDriveMetadata(await readDrive(directory, 'latest/meta_data.json'));
  const isFirstBoot = (await textOf(root + STATE)) !== metadata.uuid;
  const files: string[] = [];
  for (const file of metadata.files) {
    if (await place(directory, file, { root, isFirstBoot })) files.push(file.path);
  }
  if (isFirstBoot && metadata.hostname !== null) await nameHost(root, metadata.hostname);
  const isComplete = await allPresent(root);
  if (isComplete) await writeFileAtomic(root + STATE, metadata.uuid, 0o600);
  return { files, isComplete, hasNetwork: await placeNetwork(directory, { root, log }) };
};

const place = async (
  directory: string,
  { path, mode, source }: DriveFile,
  { root, isFirstBoot }: { root: string; isFirstBoot: boolean },
): Promise<boolean> => {
  const before = await readIfPresent(root + path);
  if (before !== null && !isFirstBoot) return false;
  const text = await readDrive(directory, source);
  await mkdir(dirname(root + path), { recursive: true, mode: 0o750 });
  await writeFileAtomic(root + path, text, mode);
  return before?.toString() !== text;
};

const placeNetwork = async (
  directory: string,
  { root, log }: ConfigDriveOptions,
): Promise<boolean> => {
  try {
    const plugged = (await textOf(root + PLUGGED)) ?? '';
    const macs = new Set(plugged.split('\n').map((line) => line.split(' ')[0] ?? ''));
    const text = await readDrive(directory, 'latest/network_data.json');
    const written = networkFiles(text, macs);
    for (const { name, text: content } of written) {
      await writeFileAtomic(join(root + NETWORK_DIRECTORY, name), content, 0o644);
    }
    return written.length > 0;
  } catch (error) {
    log.warn({ err: error }, 'the network is left to cloud-init');
    return false;
  }
};

const nameHost = async (root: string, hostname: DriveMetadata['hostname']): Promise<void> => {
  await writeFileAtomic(`${root}/etc/hostname`, `${hostname ?? ''}\n`, 0o644);
  if (root === '') await writeFile('/proc/sys/kernel/hostname', hostname ?? '');
};

const allPresent = async (root: string): Promise<boolean> => {
  const found = await Promise.all(NEEDED_FILES.map((path) => readIfPresent(root + path)));
  return found.every((bytes) => bytes !== null && bytes.length > 0);
};

/** The text of a file under `openstack/`. No link on the drive leads out of it, and nothing large comes in. */
export const readDrive = async (directory: string, name: string): Promise<string> => {
  const top = join(await realpath(directory), 'openstack');
  const path = await realpath(join(top, name));
  if (!path.startsWith(`${top}/`)) throw new Error(`${name}: leads out of the drive`);
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { size } = await file.stat();
    if (size > MAX_BYTES) throw new Error(`${name}: ${size} bytes are too many`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
};

const textOf = async (path: string): Promise<string | null> => {
  try {
    return (await readIfPresent(path))?.toString() ?? null;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
};
