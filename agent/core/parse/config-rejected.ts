// SPDX-License-Identifier: Apache-2.0
// The one error of the parsers: a config that must not be run, and the line that says why.

/** Thrown for a config that cannot be read or is dangerous (contract P38); the API answers 400. */
export class ConfigRejected extends Error {
  override readonly name = 'ConfigRejected';

  /** `line` counts from 1. `file` is what the reader knows the text by, where he has a name for it. */
  constructor(
    readonly reason: string,
    readonly line: number,
    readonly file?: string,
  ) {
    super(`${file ?? 'line '}${file === undefined ? '' : ':'}${line}: ${reason}`);
  }

  /** The same refusal, naming the file. */
  inFile(file: string): ConfigRejected {
    return new ConfigRejected(this.reason, this.line, file);
  }
}
