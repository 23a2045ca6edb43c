// SPDX-License-Identifier: Apache-2.0
// Runs a program to its end. Argument arrays only; the environment's languages are switched off.
import { execFile } from 'node:child_process';

export interface RunOptions {
  /** Text for standard input. */
  readonly input?: string;
  /** Killed after this long. Default 30 s: the controller waits 60 (contract 1.3). */
  readonly timeoutMs?: number;
  /** Path of a network namespace to enter. Not `ip netns exec`, which would hide bpffs behind a new /sys. */
  readonly netns?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that could not be run, was killed, or ended with another status than 0. */
export class CommandFailed extends Error {
  readonly output: string;
  readonly exitCode: number | null;

  constructor(command: string, detail: { output: string; exitCode: number | null; cause: Error }) {
    super(`${command}: ${detail.output.trim() || detail.cause.message}`, { cause: detail.cause });
    this.name = 'CommandFailed';
    this.output = detail.output;
    this.exitCode = detail.exitCode;
  }
}

const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/** Throws CommandFailed with everything that the program printed. */
export const run = (
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> => {
  const [program, words] =
    options.netns === undefined
      ? [file, [...args]]
      : ['nsenter', [`--net=${options.netns}`, '--', file, ...args]];
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      words,
      {
        timeout: options.timeoutMs ?? 30_000,
        killSignal: 'SIGKILL',
        maxBuffer: MAX_OUTPUT_BYTES,
        env: { ...process.env, LC_ALL: 'C', ...options.environment },
      },
      (error, stdout, stderr) => {
        if (!error) {
          resolve({ stdout, stderr });
          return;
        }
        const exitCode = typeof error.code === 'number' ? error.code : null;
        const output = `${stdout}${stderr}`;
        reject(new CommandFailed(`${file} ${args[0] ?? ''}`, { output, exitCode, cause: error }));
      },
    );
    // A program that ends without reading its input is judged by its status, not by EPIPE.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
};
