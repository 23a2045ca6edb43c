// SPDX-License-Identifier: Apache-2.0
// Commands to their end: argument arrays only, and an error that tells what the command said.
import { execFile, type ChildProcess } from 'node:child_process';

/** Standard output of a command that exits 0. Throws with its standard error otherwise, or after `timeoutMs`. */
export const run = (
  command: string,
  args: readonly string[],
  options: { readonly input?: string; readonly timeoutMs?: number } = {},
): Promise<string> =>
  new Promise((resolve, reject) => {
    const settings = { timeout: options.timeoutMs ?? 60_000, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(command, [...args], settings, (error, stdout, stderr) => {
      if (!error) {
        resolve(stdout);
        return;
      }
      const message = `${command} ${args.join(' ')}: ${stderr.trim() || error.message}`;
      reject(new Error(message, { cause: error }));
    });
    // A command that ends without reading its input is not an error of its own.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input);
  });

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Asks until the answer is neither undefined nor false; throws naming `what` after `timeoutMs`. */
export const until = async <T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  timeoutMs = 10_000,
): Promise<T> => {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(25);
  }
};

/** Resolves when the process has ended, at once if it has already. */
export const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else
      child.once('exit', () => {
        resolve();
      });
  });
