// SPDX-License-Identifier: Apache-2.0
// What the addon's tests share: BPF objects compiled on the spot, a bpffs of their own, packed numbers, errors caught.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { NativeError } from '../../native/index.js';
import { connect, Namespace } from '../support/netns.js';
import { run } from '../support/run.js';

const programs = join(import.meta.dirname, 'programs');

/** A directory that goes with the test. */
export const temporaryDirectory = (t: Test): string => {
  const directory = mkdtempSync(join(tmpdir(), 'amphora-native-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
};

/** Compiles test/native/programs/NAME.bpf.c, with `-D` for each definition; returns the object's path. */
export const compile = async (
  t: Test,
  name: string,
  definitions: readonly string[] = [],
): Promise<string> => {
  const object = join(temporaryDirectory(t), `${name}.bpf.o`);
  const include = `-I/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
  await run('clang', [
    ...['-target', 'bpf', '-mcpu=v3', '-O2', '-g', '-Wall', '-Wextra', '-Werror', include],
    ...definitions.map((definition) => `-D${definition}`),
    ...['-c', join(programs, `${name}.bpf.c`), '-o', object],
  ]);
  return object;
};

/** A bpffs mounted for this test only. */
export const mountBpffs = async (t: Test): Promise<string> => {
  const directory = mkdtempSync(join(tmpdir(), 'amphora-bpffs-'));
  await run('mount', ['-t', 'bpf', 'bpf', directory]);
  t.teardown(async () => {
    await run('umount', [directory]);
    rmSync(directory, { recursive: true });
  });
  return directory;
};

/** Two namespaces with a cable: 10.9.8.1 at `a0` and 10.9.8.2 at `b0`, neighbours known. */
export const cabledPair = async (t: Test, mtu = 1500): Promise<{ a: Namespace; b: Namespace }> => {
  const [a, b] = await Promise.all(
    ['a', 'b'].map((role) => Namespace.create(`amp-${process.pid}-native-${role}`)),
  );
  if (!a || !b) throw new Error('no namespaces');
  t.teardown(() => Promise.all([a.remove(), b.remove()]));
  const [macA, macB] = ['02:00:00:00:0a:01', '02:00:00:00:0b:01'];
  await connect(
    { namespace: a, name: 'a0', mac: macA },
    { namespace: b, name: 'b0', mac: macB },
    { mtu },
  );
  await a.ip('addr add 10.9.8.1/24 dev a0', `neigh replace 10.9.8.2 lladdr ${macB} dev a0`);
  await b.ip('addr add 10.9.8.2/24 dev b0', `neigh replace 10.9.8.1 lladdr ${macA} dev b0`);
  return { a, b };
};

/** Sends from 10.9.8.1 to 10.9.8.2 port 9 at an even pace; returns how many were sent. */
export const sendUdp = async (from: Namespace, count: number, seconds = 0.1): Promise<number> => {
  const script = join(import.meta.dirname, 'send-udp.py');
  return Number(await from.exec('python3', script, '10.9.8.2', String(count), String(seconds)));
};

export const u32 = (...values: readonly number[]): Buffer =>
  Buffer.from(Uint32Array.from(values).buffer);

export const u64 = (...values: readonly number[]): Buffer =>
  Buffer.from(BigUint64Array.from(values.map(BigInt)).buffer);

/** The 64-bit words of what a map or a test run answered. */
export const words64 = (bytes: Uint8Array): number[] => {
  const view = Buffer.from(bytes);
  return Array.from({ length: bytes.length / 8 }, (_, i) => Number(view.readBigUInt64LE(i * 8)));
};

export const words32 = (bytes: Uint8Array): number[] => {
  const view = Buffer.from(bytes);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.readUInt32LE(i * 4));
};

/** The error that a call throws; fails when it throws none. */
export const thrownBy = (call: () => unknown): NativeError => {
  try {
    call();
  } catch (error) {
    return error as NativeError;
  }
  throw new Error('nothing was thrown');
};
