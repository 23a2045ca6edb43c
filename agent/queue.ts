// SPDX-License-Identifier: Apache-2.0
// One change at a time, in the order of arrival (contract 1.4).

export class ChangeQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `change` when all earlier ones have ended, well or badly. */
  run<Value>(change: () => Promise<Value>): Promise<Value> {
    const result = this.#last.then(change);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
