// SPDX-License-Identifier: Apache-2.0
// Where the operator's logs go: the two targets of the rsyslog config that the controller delivers.
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Namespace } from '../netns.js';
import { ended, until } from '../run.js';

/** UDP ports of the controller's address. */
export const LOG_PORTS = { admin: 10514, tenant: 10515 } as const;

export type LogKind = keyof typeof LOG_PORTS;

/** Sockets live in the namespace, so a process does; it prints a line per message. */
const RECORDER = `
  const dgram = require('node:dgram');
  for (const [kind, port] of Object.entries(${JSON.stringify(LOG_PORTS)})) {
    const socket = dgram.createSocket('udp4');
    socket.on('message', (data) => console.log(kind + ' ' + JSON.stringify(data.toString())));
    socket.bind(port, () => console.log('listening'));
  }`;

export class LogTargets {
  /** Each message as it came, `<priority>` first. */
  readonly heard: Readonly<Record<LogKind, string[]>> = { admin: [], tenant: [] };
  readonly #child: ChildProcess;
  #listening = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    if (!child.stdout) throw new Error('pipes expected');
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [kind = '', ...rest] = line.split(' ');
      if (kind === 'admin' || kind === 'tenant') {
        this.heard[kind].push(String(JSON.parse(rest.join(' '))));
      } else this.#listening += 1;
    });
  }

  static async start(namespace: Namespace): Promise<LogTargets> {
    const args = ['--pdeathsig', 'KILL', process.execPath, '-e', RECORDER];
    const child = namespace.spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const targets = new LogTargets(child);
    const ports = Object.keys(LOG_PORTS).length;
    await until('the log targets listen', async () => targets.#listening === ports);
    return targets;
  }

  /** The first message that matches, of those already heard as well. */
  find(kind: LogKind, pattern: RegExp, timeoutMs: number): Promise<string> {
    const what = `a message for ${kind} like ${pattern.source}`;
    return until(what, async () => this.heard[kind].find((text) => pattern.test(text)), timeoutMs);
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await ended(this.#child);
  }
}
