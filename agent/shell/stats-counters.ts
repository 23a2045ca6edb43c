// SPDX-License-Identifier: Apache-2.0
// The last counters that were reported, kept over restarts: stats_counters.json (contract 3.3).
import type { FastifyBaseLogger } from 'fastify';
import { type Baselines, formatBaselines, parseBaselines } from '../core/report/deltas.js';
import { readIfPresent, writeFileAtomic } from './files.js';

const MODE = 0o640;

export class StatsCounters {
  readonly #file: string;
  readonly #log: FastifyBaseLogger;
  #known: { readonly baselines: Baselines; readonly text: string } | null = null;

  constructor(file: string, log: FastifyBaseLogger) {
    this.#file = file;
    this.#log = log;
  }

  async load(): Promise<Baselines> {
    if (this.#known === null) {
      const text = (await readIfPresent(this.#file))?.toString() ?? '';
      this.#known = { text, baselines: parseBaselines(text) };
    }
    return this.#known.baselines;
  }

  /**
   * Writes only what differs: an idle amphora writes nothing. A disk that takes nothing costs exactness
   * over a restart, never the heartbeat.
   */
  async save(baselines: Baselines): Promise<void> {
    const text = formatBaselines(baselines);
    if (text === this.#known?.text) return;
    this.#known = { baselines, text };
    await writeFileAtomic(this.#file, text, MODE).catch((error: unknown) => {
      this.#known = { baselines, text: '' }; // to be written again
      this.#log.warn({ err: error }, 'counters of statistics not saved');
    });
  }
}
