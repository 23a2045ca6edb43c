// SPDX-License-Identifier: Apache-2.0
// A program over Octavia's own code as a child process: a line of JSON each way.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Debian's Python, whatever others stand before it: python3-octavia is installed for that one. */
const PYTHON = '/usr/bin/python3';

export interface Python {
  /** Throws with its last words when the program has ended. */
  ask(request: object): Promise<unknown>;
  stop(): Promise<void>;
}

/** `script` lies beside this file. `prefix`: a command that runs another, for instance in a namespace. */
export const startPython = (script: string, prefix: readonly string[] = []): Python => {
  const path = join(import.meta.dirname, script);
  const [command, ...args] = [...prefix, PYTHON, '-W', 'ignore', path];
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => (words = (words + chunk.toString()).slice(-4000)));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    ask: async (request) => {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const line = await lines.next();
      if (line.done === true) throw new Error(`${script} ended: ${words}`);
      return JSON.parse(line.value) as unknown;
    },
    stop: async () => {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
};
