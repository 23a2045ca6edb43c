// SPDX-License-Identifier: Apache-2.0
// Files that survive a crash at any line: written beside, synced, renamed into place.
import { open, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Replaces `path` in one step; readers see the old bytes or the new ones. The directory is made if missing. */
export const writeFileAtomic = async (
  path: string,
  data: string | Uint8Array,
  mode = 0o644,
): Promise<void> => {
  const directory = dirname(path);
  await mkdir(directory, { recursive: true });
  const temporary = `${path}.tmp`;
  // A crashed writer's leftover may have another mode: O_CREAT would not change it.
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', mode);
  try {
    await file.writeFile(data);
    await file.chmod(mode); // the umask must not decide
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(directory);
};

/** The bytes, or null when there is no such file. */
export const readIfPresent = async (path: string): Promise<Buffer | null> => {
  try {
    return await readFile(path);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
};

/** Removes a file or a tree, durably; absent is fine. */
export const removePath = async (path: string): Promise<void> => {
  await rm(path, { recursive: true, force: true });
  await syncDirectory(dirname(path)).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
};

/** True for the error of a path that is not there. */
export const isMissing = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  (error.code === 'ENOENT' || error.code === 'ENOTDIR');

const syncDirectory = async (directory: string): Promise<void> => {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};
