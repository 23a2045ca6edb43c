// SPDX-License-Identifier: Apache-2.0
// The store of secrets: an encrypted file on the root disk that only the config drive opens, or memory where it
// cannot be had. LUKS2 and ext4 by their own tools; the key goes to cryptsetup's standard input and nowhere else.
import { randomBytes } from 'node:crypto';
import { access, chmod, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { FastifyBaseLogger } from 'fastify';
import {
  type BootSecret,
  headerOf,
  parseHeader,
  planStore,
  type Seal,
  type StoreHeader,
} from '../core/boot/seal.js';
import { isMissing, removePath } from './files.js';
import { CommandFailed, run } from './run.js';

export interface SealedStoreOptions {
  /** Before every path; '' in the image. */
  readonly root: string;
  /** Name of the opened store under /dev/mapper. */
  readonly mapping: string;
  readonly log: FastifyBaseLogger;
}

/** Where the secrets are from now on. */
export type StoreKind = 'sealed' | 'memory';

const FILE = '/var/lib/amphora-seal/store.luks';
const MOUNT = '/run/amphora-seal/store';
const MEGABYTES = 64;
/** Stays on the disk in any case: where interfaces are plugged is no secret, and must outlive a lost store. */
const INTERFACES = 'interfaces';
/**
 * Directories of the machine that are kept in the store, by their names there. cloud-init's own holds all that the
 * drive has, the seed included. `certs` is bound by certs-ramfs, which knows where the agent wants it.
 */
const KEPT = [
  { name: 'etc', path: '/etc/octavia', mode: 0o750, flags: 'nodev,nosuid,noexec' },
  // Scripts of user data are run in there.
  { name: 'cloud', path: '/var/lib/cloud', mode: 0o755, flags: 'nodev,nosuid' },
] as const;
/** For a machine that computes by emulation. */
const SLOW_MS = 300_000;

/**
 * Opens the store of the drive that gave `secret`, or makes it, and lays it over the directories that it keeps. Where
 * neither can be done the same directories are in memory, and `log` says why: an amphora that forgets serves, one
 * without a place for keys does not.
 */
export const bringStore = async (
  secret: BootSecret | null,
  options: SealedStoreOptions,
): Promise<StoreKind> => {
  const { root, log } = options;
  await mkdir(root + MOUNT, { recursive: true, mode: 0o700 });
  const kind = await mountStore(secret, options);
  for (const { name, mode } of [...KEPT, { name: 'certs', mode: 0o750 }]) {
    await mkdir(join(root + MOUNT, name), { recursive: true });
    await chmod(join(root + MOUNT, name), mode);
  }
  for (const { name, path, flags } of KEPT) {
    await mkdir(root + path, { recursive: true });
    if (await isMounted(root + path)) continue; // by one of us that was stopped halfway
    await moveIn(root + path, join(root + MOUNT, name), kind);
    if (name === 'etc') await keepInterfaces(root);
    await run('mount', ['--rbind', '-o', flags, join(root + MOUNT, name), root + path]);
  }
  log.info({ kind }, 'secrets have their place');
  return kind;
};

const mountStore = async (
  secret: BootSecret | null,
  options: SealedStoreOptions,
): Promise<StoreKind> => {
  const { root, log } = options;
  if (await isMounted(root + MOUNT)) return kindOf(root + MOUNT);
  try {
    const plan = planStore(secret, await readHeader(root + FILE), randomBytes(16));
    switch (plan.kind) {
      case 'memory':
        throw new Error(plan.reason);
      case 'replace':
        log.warn(
          { file: root + FILE },
          'made under another seed: secrets of earlier boots are lost',
        );
        await createStore(plan, options);
        break;
      case 'create':
        await createStore(plan, options);
        break;
      case 'open':
        break;
    }
    await openStore(plan.seal, options);
    return 'sealed';
  } catch (error) {
    log.error({ err: error }, 'no sealed store: secrets are in memory, and lost at the next boot');
    const size = `noswap,nodev,nosuid,size=${MEGABYTES}M,mode=0700`;
    await run('mount', ['-t', 'tmpfs', '-o', size, 'amphora-seal', root + MOUNT]);
    return 'memory';
  }
};

const readHeader = async (file: string): Promise<StoreHeader | 'foreign' | null> => {
  if (!(await isPresent(file))) return null;
  try {
    return parseHeader((await run('cryptsetup', ['luksDump', file])).stdout) ?? 'foreign';
  } catch (error) {
    // No LUKS header; a cryptsetup that is not there at all is another matter.
    if (error instanceof CommandFailed && error.exitCode !== null) return 'foreign';
    throw error;
  }
};

/** Made beside its place, and moved there when all of it is on the disk: a power cut leaves a whole one or none. */
const createStore = async (
  { seal, salt }: { readonly seal: Seal; readonly salt: Uint8Array },
  { root, mapping }: SealedStoreOptions,
): Promise<void> => {
  const fresh = `${root}${FILE}.new`;
  const unfinished = `${mapping}-new`;
  await mkdir(dirname(fresh), { recursive: true, mode: 0o700 });
  await rm(fresh, { force: true });
  try {
    // All of it at once: a full disk must not take what the store was promised.
    await run('fallocate', ['--length', `${MEGABYTES}M`, fresh]);
    await chmod(fresh, 0o600);
    await format(fresh, seal, headerOf(seal, salt));
    await unlock(fresh, unfinished, seal);
    try {
      const small = ['-T', 'small', '-m', '0', '-L', 'amphora-store'];
      await run('mkfs.ext4', ['-q', ...small, `/dev/mapper/${unfinished}`]);
    } finally {
      await run('cryptsetup', ['close', unfinished]);
    }
    await syncPath(fresh);
    await rename(fresh, root + FILE);
    await syncPath(dirname(fresh));
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
};

/**
 * The key is as random as a key can be, so nothing is won by stretching it, and a benchmark of how much the machine
 * could take costs a slow one many seconds. No discards: which blocks are free stays inside.
 */
const format = (file: string, { key }: Seal, { label, subsystem }: StoreHeader): Promise<unknown> =>
  run(
    'cryptsetup',
    [
      ...['luksFormat', '--batch-mode', '--type', 'luks2', '--key-file', '-'],
      ...['--cipher', 'aes-xts-plain64', '--key-size', '512', '--hash', 'sha256'],
      ...['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000'],
      ...['--luks2-metadata-size', '16k', '--luks2-keyslots-size', '1m'],
      ...['--label', label, '--subsystem', subsystem, file],
    ],
    { input: key, timeoutMs: SLOW_MS },
  );

const unlock = async (file: string, mapping: string, { key }: Seal): Promise<void> => {
  // Of one of us that was stopped halfway.
  if (await isPresent(`/dev/mapper/${mapping}`)) await run('cryptsetup', ['close', mapping]);
  await run('cryptsetup', ['open', '--type', 'luks2', '--key-file', '-', file, mapping], {
    input: key,
    timeoutMs: SLOW_MS,
  });
};

const openStore = async (seal: Seal, { root, mapping }: SealedStoreOptions): Promise<void> => {
  await unlock(root + FILE, mapping, seal);
  const device = `/dev/mapper/${mapping}`;
  try {
    await checkFileSystem(device);
    await run('mount', ['-t', 'ext4', '-o', 'nodev,nosuid', device, root + MOUNT]);
  } catch (error) {
    await run('cryptsetup', ['close', mapping]);
    throw error;
  }
};

/** After a power cut: the journal, and what can be mended without a question. */
const checkFileSystem = async (device: string): Promise<void> => {
  try {
    await run('e2fsck', ['-p', device], { timeoutMs: SLOW_MS });
  } catch (error) {
    const mended = 1;
    if (!(error instanceof CommandFailed) || error.exitCode !== mended) throw error;
  }
};

/**
 * What lies in a directory from boots without the store is newer than what the store has. It goes from the disk once
 * the store has it; memory gets a copy, because it forgets.
 */
const moveIn = async (from: string, to: string, kind: StoreKind): Promise<void> => {
  const names = (await readdir(from)).filter((name) => name !== INTERFACES);
  if (names.length === 0) return;
  await run('cp', ['-a', '--', ...names.map((name) => join(from, name)), to]);
  if (kind === 'memory') return;
  await run('sync', ['--file-system', to]);
  for (const name of names) await removePath(join(from, name));
};

const keepInterfaces = async (root: string): Promise<void> => {
  const [disk, store] = [
    join(root, '/etc/octavia', INTERFACES),
    join(root + MOUNT, 'etc', INTERFACES),
  ];
  await mkdir(disk, { recursive: true });
  await mkdir(store, { recursive: true });
  await run('mount', ['--bind', disk, store]);
};

const isPresent = async (path: string): Promise<boolean> => {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
};

const isMounted = async (path: string): Promise<boolean> => {
  try {
    await run('mountpoint', ['--quiet', path]);
    return true;
  } catch (error) {
    if (error instanceof CommandFailed && error.exitCode !== null) return false;
    throw error;
  }
};

const kindOf = async (path: string): Promise<StoreKind> => {
  const { stdout } = await run('findmnt', ['--noheadings', '--output', 'FSTYPE', path]);
  return stdout.trim() === 'tmpfs' ? 'memory' : 'sealed';
};

const syncPath = async (path: string): Promise<void> => {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};
