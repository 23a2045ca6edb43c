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
  #state: DataplaneState;
  #written = '';

  constructor(directory: string, life: string) {
    this.#path = join(directory, 'dataplane.json');
    this.#state = newState(life);
  }

  get state(): DataplaneState {
    return this.#state;
  }

  /** False if there is no file for this life of the maps. */
  async load(): Promise<boolean> {
    const text = (await readIfPresent(this.#path))?.toString('utf8') ?? '';
    const state = parseState(text, this.#state.life);
    if (state === null) return false;
    this.#state = state;
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
