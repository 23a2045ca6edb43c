// SPDX-License-Identifier: Apache-2.0
// Open files that a daemon of ours may have. HAProxy wants two and a half for each of its `maxconn`.
import { readFile } from 'node:fs/promises';
import { run } from './run.js';

export interface FileLimit {
  readonly files: number;
  /** Words before a command that raise the limit to that; none where we may not, as in a container. */
  readonly prefix: readonly string[];
}

/** What the units of the image give. */
export const UNIT_FILE_LIMIT = 2_600_000;

/** The most that this process can give to its children. */
export const readFileLimit = async (): Promise<FileLimit> => {
  const most = Number((await readFile('/proc/sys/fs/nr_open', 'utf8')).trim());
  const files = Math.min(UNIT_FILE_LIMIT, most);
  const prefix = ['prlimit', `--nofile=${files}:${files}`, '--'];
  try {
    await run('prlimit', [...prefix.slice(1), 'true']);
    return { files, prefix };
  } catch {
    const limits = await readFile('/proc/self/limits', 'utf8');
    const hard = /^Max open files\s+\d+\s+(\d+)/m.exec(limits)?.[1];
    return { files: Number(hard ?? 1024), prefix: [] };
  }
};
