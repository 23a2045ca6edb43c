// SPDX-License-Identifier: Apache-2.0
// A health manager in the management namespace: remembers each heartbeat that the amphora sends.
import type { ChildProcess } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { createInterface } from 'node:readline';
import { inflateSync } from 'node:zlib';
import type { Heartbeat } from '../../agent/core/report/heartbeat.js';
import { ended, until } from './run.js';
import type { Namespace } from './netns.js';

export interface Heard {
  readonly port: number;
  readonly key: string | null;
  readonly message: Heartbeat;
  /** Of this process's clock. */
  readonly atMs: number;
}

/** Sockets live in the namespace, so a process does; it prints a line per datagram. */
const RECORDER = `
  const dgram = require('node:dgram');
  for (const port of process.argv.slice(1).map(Number)) {
    const socket = dgram.createSocket('udp4');
    socket.on('message', (data) => console.log(port + ' ' + data.toString('hex')));
    socket.bind(port, () => console.log('listening'));
  }`;

export class Heartbeats {
  readonly heard: Heard[] = [];
  readonly #child: ChildProcess;
  #listening = 0;

  private constructor(child: ChildProcess, keys: readonly string[]) {
    this.#child = child;
    if (!child.stdout) throw new Error('pipes expected');
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [port = '', hex] = line.split(' ');
      if (hex === undefined) this.#listening += 1;
      else this.heard.push(decode(Number(port), Buffer.from(hex, 'hex'), keys));
    });
  }

  /** Hears on all ports; knows a signature by any of the keys. */
  static async start(
    namespace: Namespace,
    ports: readonly number[],
    keys: readonly string[],
  ): Promise<Heartbeats> {
    const args = [
      '--pdeathsig',
      'KILL',
      process.execPath,
      '-e',
      RECORDER,
      '--',
      ...ports.map(String),
    ];
    const child = namespace.spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const heartbeats = new Heartbeats(child, keys);
    await until('the health manager listens', async () => heartbeats.#listening === ports.length);
    return heartbeats;
  }

  /** The first heartbeat from now on that is as described. */
  async next(what: string, matches: (heard: Heard) => boolean, timeoutMs = 10_000): Promise<Heard> {
    const from = this.heard.length;
    return until(what, async () => this.heard.slice(from).find(matches), timeoutMs);
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await ended(this.#child);
  }
}

const decode = (port: number, data: Buffer, keys: readonly string[]): Heard => {
  const stream = data.subarray(0, -64);
  const signature = data.subarray(-64).toString();
  const sign = (key: string) => createHmac('sha256', key).update(stream).digest('hex');
  return {
    port,
    key: keys.find((key) => sign(key) === signature) ?? null,
    message: JSON.parse(inflateSync(stream).toString()) as Heartbeat,
    atMs: Date.now(),
  };
};
