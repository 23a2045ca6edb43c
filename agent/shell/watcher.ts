// SPDX-License-Identifier: Apache-2.0
// Tells when links, addresses, routes or neighbours of the namespace change. What changed is then read anew:
// the lines of `ip monitor` are triggers, not data.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { FastifyBaseLogger } from 'fastify';

export interface WatcherOptions {
  readonly netns: string;
  /** Links, addresses or routes changed. */
  readonly onNetwork: () => void;
  /** A neighbour got another hardware address, or none. */
  readonly onNeighbour: () => void;
  readonly log: FastifyBaseLogger;
}

const QUIET_MS = 50;
/** Never later than this, however busy the namespace is. */
const LATEST_MS = 500;
const RESTART_MS = 1000;

export class Watcher {
  readonly #options: WatcherOptions;
  readonly #macs = new Map<string, string>();
  readonly #network: Debounce;
  readonly #neighbour: Debounce;
  #child: ChildProcess | null = null;
  #restart: NodeJS.Timeout | null = null;
  #isStopped = false;

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#network = new Debounce(options.onNetwork);
    this.#neighbour = new Debounce(options.onNeighbour);
  }

  /** A first trigger follows at once: whatever happened before is read, too. */
  start(): void {
    const words = ['ip', '-o', 'monitor', 'label', 'link', 'address', 'route', 'neigh'];
    const child = spawn('nsenter', [`--net=${this.#options.netns}`, '--', ...words], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#child = child;
    createInterface(child.stdout).on('line', (line) => {
      this.#onLine(line);
    });
    child.on('error', (error) => {
      this.#options.log.error({ err: error }, 'ip monitor could not be started');
    });
    child.on('close', () => {
      if (this.#isStopped) return;
      this.#options.log.warn('ip monitor ended, starting it again');
      this.#restart = setTimeout(() => {
        this.start();
      }, RESTART_MS);
    });
    this.#network.trigger();
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#restart) clearTimeout(this.#restart);
    this.#network.cancel();
    this.#neighbour.cancel();
    this.#child?.kill('SIGKILL');
  }

  #onLine(line: string): void {
    if (!line.startsWith('[NEIGH]')) {
      this.#network.trigger();
      return;
    }
    const neighbour = parseNeighbour(line);
    if (!neighbour || this.#macs.get(neighbour.key) === neighbour.mac) return;
    this.#macs.set(neighbour.key, neighbour.mac);
    this.#neighbour.trigger();
  }
}

/** Address, device and hardware address of a line; `none` while unresolved. States come and go every few seconds. */
const parseNeighbour = (line: string): { key: string; mac: string } | null => {
  const [, address, device] = /(\S+) dev (\S+)/.exec(line) ?? [];
  if (address === undefined || device === undefined) return null;
  const mac = /\blladdr (\S+)/.exec(line)?.[1];
  const isGone = line.includes('Deleted') || / (FAILED|INCOMPLETE)\b/.test(line);
  return { key: `${address} ${device}`, mac: isGone || mac === undefined ? 'none' : mac };
};

/** Calls once after a burst of triggers. */
class Debounce {
  readonly #call: () => void;
  #timer: NodeJS.Timeout | null = null;
  #first = 0;

  constructor(call: () => void) {
    this.#call = call;
  }

  trigger(): void {
    const now = Date.now();
    if (this.#timer === null) this.#first = now;
    else if (now - this.#first > LATEST_MS - QUIET_MS) return;
    else clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#call();
    }, QUIET_MS);
  }

  cancel(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
