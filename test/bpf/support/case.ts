// SPDX-License-Identifier: Apache-2.0
// What a packet table is made of.
import type { Hook } from './board-spec.js';
import type { Switchboard } from './switchboard.js';
import type { Family } from './talk.js';

/** One row: a sentence on behaviour, and the packets that show it. It throws where the datapath disagrees. */
export interface Case {
  readonly name: string;
  /** Both when absent. */
  readonly hooks?: readonly Hook[];
  /** The board is as the case before left it: begin with `board.reset`. */
  readonly run: (board: Switchboard) => void;
}

/** The same row for IPv4 and IPv6. */
export const bothFamilies = (
  name: string,
  run: (board: Switchboard, family: Family) => void,
  hooks?: readonly Hook[],
): Case[] =>
  ([4, 6] as const).map((family) => ({
    name: `IPv${family}: ${name}`,
    ...(hooks ? { hooks } : {}),
    run: (board) => {
      run(board, family);
    },
  }));

/** Lets the datapath's clock go on: it counts in units of 64 jiffies, 256 ms at 250 HZ, 640 at 100. */
export const wait = (milliseconds: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
};
