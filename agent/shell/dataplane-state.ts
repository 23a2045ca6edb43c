// SPDX-License-Identifier: Apache-2.0
// The state file: read once, replaced whole, so that a crash at any line leaves one that can be continued from.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DataplaneState, newState, parseState, stateText } from '../core/plan/state.js';
import { readIfPresent, writeFileAtomic } from './files.js';

/** Names the life of pinned maps: kernel ids begin again with each boot. */
export const lifeOf = (membersMapId: number): string =>
  `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${membersMapId}`;

export class DataplaneStore {
  readonly #path: string;
  readonly #lives: readonly string[];
  #state: DataplaneState;
  #written = '';

  /** `former`: lives of maps whose flows, and so whose numbers, go on in those of `life`. */
  constructor(directory: string, life: string, former: readonly string[] = []) {
    this.#path = join(directory, 'dataplane.json');
    this.#lives = [life, ...former];
    this.#state = newState(life);
  }

  get state(): DataplaneState {
    return this.#state;
  }

  /** False if there is no file for this life of the maps, or for a former one. */
  async load(): Promise<boolean> {
    const text = (await readIfPresent(this.#path))?.toString('utf8') ?? '';
    const { life } = this.#state;
    const found = this.#lives.map((known) => parseState(text, known)).find(Boolean);
    if (!found) return false;
    // Inner maps of a former life are not in these maps.
    this.#state = found.life === life ? found : { ...found, life, slots: {} };
    this.#written = text;
    return true;
  }

  /** Durable when it resolves; writes nothing when nothing changed. */
  async save(changes: Partial<DataplaneState>): Promise<void> {
    const state = { ...this.#state, ...changes };
    const text = stateText(state);
    if (text !== this.#written) await writeFileAtomic(this.#path, text, 0o600);
    this.#written = text;
    this.#state = state;
  }
}
