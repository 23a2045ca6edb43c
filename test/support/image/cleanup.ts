// SPDX-License-Identifier: Apache-2.0
// What a program owes at its end, last things first, as a test's teardown.
import type { Owner } from './image-bed.js';

export class Cleanup implements Owner {
  readonly #actions: (() => unknown)[] = [];

  teardown(action: () => unknown): void {
    this.#actions.push(action);
  }

  passing(): boolean {
    return true;
  }

  comment(text: string): void {
    console.log(text);
  }

  async run(): Promise<void> {
    for (const action of this.#actions.reverse()) await action();
  }
}
