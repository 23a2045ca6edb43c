// SPDX-License-Identifier: Apache-2.0
// What a subcommand of amphoractl is.

export interface Command {
  readonly name: string;
  /** One line for the overview. */
  readonly summary: string;
  /** What `amphoractl NAME --help` prints. */
  readonly help: string;
  /** `args` are those after the name. Resolves to the exit status: 0 done, 1 failed, 2 wrong usage. */
  readonly run: (args: readonly string[], output: Output) => Promise<number>;
}

/** Where a command writes; a test hands in its own. Both take whole lines without the newline. */
export interface Output {
  readonly line: (text: string) => void;
  readonly error: (text: string) => void;
}

/** Wrong usage: the message is shown with a hint at --help, and the status is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
