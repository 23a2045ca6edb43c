// SPDX-License-Identifier: Apache-2.0
// The last counters that were reported, kept over restarts: stats_counters.json (contract 3.3).
import { type Baselines, formatBaselines, parseBaselines } from '../core/report/deltas.js';
import { readIfPresent, writeFileAtomic } from './files.js';

const MODE = 0o640;

export class StatsCounters {
  readonly #file: string;
  #saved: string | null = null;

  constructor(file: string) {
    this.#file = file;
  }

  async load(): Promise<Baselines> {
    this.#saved ??= (await readIfPresent(this.#file))?.toString() ?? '';
    return parseBaselines(this.#saved);
  }

  /** Writes only what differs: an idle amphora writes nothing. */
  async save(baselines: Baselines): Promise<void> {
    const text = formatBaselines(baselines);
    if (text === this.#saved) return;
    this.#saved = text; // also when the disk is full: what was reported must not be reported again
    await writeFileAtomic(this.#file, text, MODE);
  }
}
