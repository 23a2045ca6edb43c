// SPDX-License-Identifier: Apache-2.0
// Directories of pinned maps, one per layout, and what each layout is: left in a file for an agent that has another.
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { addon } from '../../native/index.js';
import { CURRENT_LAYOUT, parseLayout, type LayoutDescription } from '../core/plan/carry.js';
import { lifeOf } from './dataplane-state.js';
import { readIfPresent, removePath, writeFileAtomic } from './files.js';

/** Maps of another layout, whose programs may be the ones that packets meet. */
export interface FormerLayout {
  readonly name: string;
  readonly directory: string;
  /** Null: an agent that left no description, or one that cannot be read. */
  readonly description: LayoutDescription | null;
}

/** As the state file names them. */
export const formerLives = (former: readonly FormerLayout[]): string[] =>
  former.flatMap(({ directory }) => {
    const pin = join(directory, 'members');
    if (!existsSync(pin)) return [];
    const map = addon.openPinnedMap(pin);
    try {
      return lifeOf(map.info.id);
    } finally {
      map.close();
    }
  });

const LAYOUT_NAME = /^v\d+-[0-9a-f]+$/;

export class DataplaneLayouts {
  readonly #pins: string;
  readonly #descriptions: string;
  readonly #own: string;

  constructor(options: {
    readonly pinDirectory: string;
    readonly stateDirectory: string;
    readonly ownDirectory: string;
  }) {
    this.#pins = options.pinDirectory;
    this.#descriptions = join(options.stateDirectory, 'layouts');
    this.#own = basename(options.ownDirectory);
  }

  /** Durable when it resolves. */
  async describe(): Promise<void> {
    const text = `${JSON.stringify(CURRENT_LAYOUT)}\n`;
    const path = this.#pathOf(this.#own);
    if ((await readIfPresent(path))?.toString() !== text) await writeFileAtomic(path, text, 0o600);
  }

  /** Oldest first. */
  async former(): Promise<FormerLayout[]> {
    const age = (name: string): number => statSync(join(this.#pins, name)).mtimeMs;
    const names = readdirSync(this.#pins)
      .filter((name) => LAYOUT_NAME.test(name) && name !== this.#own)
      .sort((a, b) => age(a) - age(b));
    return Promise.all(
      names.map(async (name) => ({
        name,
        directory: join(this.#pins, name),
        description: parseLayout((await readIfPresent(this.#pathOf(name)))?.toString() ?? ''),
      })),
    );
  }

  /** Maps of other layouts are of no use to anybody once their programs have been replaced. Returns their names. */
  async removeFormer(): Promise<string[]> {
    const former = await this.former();
    for (const { directory } of former) rmSync(directory, { recursive: true });
    if (!existsSync(this.#descriptions)) return [];
    for (const file of readdirSync(this.#descriptions))
      if (file !== `${this.#own}.json`) await removePath(join(this.#descriptions, file));
    return former.map(({ name }) => name);
  }

  #pathOf(name: string): string {
    return join(this.#descriptions, `${name}.json`);
  }
}
