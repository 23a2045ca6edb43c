// SPDX-License-Identifier: Apache-2.0
// Tables of pools that did not change are not computed again: a Maglev table takes milliseconds.
import { poolSlots, type PoolPlan } from './slots.js';

export class SlotMemo {
  #before = new Map<string, Uint32Array>();
  #now = new Map<string, Uint32Array>();

  /** Begins a new set of tables; those that the last two did not ask for are forgotten. */
  begin(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }

  /** As poolSlots(). The words are shared, so nobody may change them. */
  slots(plan: PoolPlan): Uint32Array {
    const key = JSON.stringify(plan);
    const words = this.#now.get(key) ?? this.#before.get(key) ?? poolSlots(plan);
    this.#now.set(key, words);
    return words;
  }
}
