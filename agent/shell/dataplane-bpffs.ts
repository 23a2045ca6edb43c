// SPDX-License-Identifier: Apache-2.0
// The file system that pins live in.
import { execFile } from 'node:child_process';
import { mkdirSync, statfsSync } from 'node:fs';
import { promisify } from 'node:util';

const BPF_FS_MAGIC = 0xcafe4a11;

/** True if the directory exists and lies on a bpffs. */
export const isBpffs = (directory: string): boolean => {
  try {
    return statfsSync(directory).type === BPF_FS_MAGIC;
  } catch {
    return false;
  }
};

/** Mounts a bpffs at `directory` unless there is one. Needs CAP_SYS_ADMIN. */
export const ensureBpffs = async (directory = '/sys/fs/bpf'): Promise<void> => {
  if (isBpffs(directory)) return;
  mkdirSync(directory, { recursive: true });
  await promisify(execFile)('mount', ['-t', 'bpf', 'bpf', directory]);
};
