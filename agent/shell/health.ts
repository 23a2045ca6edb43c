// SPDX-License-Identifier: Apache-2.0
// Health of members, as HAProxy's checks find it, read several times a second.
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import { textOf } from '../errors.js';
import { askHaproxy, parseDownServers } from './haproxy-socket.js';

export interface HealthOptions {
  /** Sockets of the HAProxy processes that run checks now. */
  readonly sockets: () => readonly string[];
  readonly pollMs: number;
  readonly onChange: (down: ReadonlySet<string>) => void;
  readonly log: FastifyBaseLogger;
}

/** Asking costs HAProxy time by the number of members: at most this share of its time goes to us. */
const MAX_SHARE = 0.1;
/** Where no HAProxy answers there is nobody to be late for: a first check takes longer than this. */
const IDLE_FACTOR = 5;

export class HealthWatch {
  readonly #options: HealthOptions;
  readonly #abort = new AbortController();
  readonly #known = new Map<string, ReadonlySet<string>>();
  readonly #silent = new Set<string>();
  #down: ReadonlySet<string> = new Set();

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** Members down, `<pool>:<listener>/<member>`: nobody until a check has failed (contract P43). */
  get down(): ReadonlySet<string> {
    return this.#down;
  }

  /** Asks each socket once. One that does not answer keeps what it last said. */
  async look(): Promise<void> {
    const sockets = this.#options.sockets();
    for (const socket of [...this.#known.keys()]) {
      if (!sockets.includes(socket)) this.#known.delete(socket);
    }
    for (const socket of sockets) {
      try {
        const down = parseDownServers(await askHaproxy(socket, 'show servers state', 2000));
        this.#silent.delete(socket);
        this.#known.set(socket, new Set(down));
      } catch (error) {
        if (this.#silent.has(socket)) continue;
        this.#silent.add(socket);
        this.#options.log.warn({ error: textOf(error), socket }, 'HAProxy does not answer');
      }
    }
    this.#down = new Set([...this.#known.values()].flatMap((set) => [...set]));
  }

  /** Looks until stopped, and reports each change once. */
  async watch(): Promise<void> {
    let reported = fingerprint(this.#down);
    while (!this.#abort.signal.aborted) {
      const began = performance.now();
      await this.look();
      const found = fingerprint(this.#down);
      if (found !== reported) this.#options.onChange(this.#down);
      reported = found;
      const poll = this.#options.pollMs * (this.#known.size === 0 ? IDLE_FACTOR : 1);
      const pause = Math.max(poll, (performance.now() - began) / MAX_SHARE);
      await sleep(pause, null, { signal: this.#abort.signal, ref: false }).catch(() => undefined);
    }
  }

  stop(): void {
    this.#abort.abort();
  }
}

const fingerprint = (down: ReadonlySet<string>): string => [...down].sort().join('\n');
