// SPDX-License-Identifier: Apache-2.0
// How much of a config is read: a guard against nonsense, far above what the datapath is made for.
import { ConfigRejected } from './config-rejected.js';

export interface ConfigLimits {
  readonly characters: number;
  readonly lineCharacters: number;
  readonly listeners: number;
  readonly poolMembers: number;
  readonly members: number;
}

export const defaultLimits: ConfigLimits = {
  characters: 32 * 1024 * 1024,
  lineCharacters: 64 * 1024,
  listeners: 4096,
  poolMembers: 4096,
  members: 65536,
};

/** Throws ConfigRejected when `count` of `what` is above `limit`. */
export const enforceLimit = (count: number, limit: number, what: string, line: number): void => {
  if (count > limit) throw new ConfigRejected(`more than ${limit} ${what}`, line);
};

/** Splits into lines, refusing what no controller sends: huge texts and control characters. */
export const splitLines = (text: string, limits: ConfigLimits): readonly string[] => {
  enforceLimit(text.length, limits.characters, 'characters', 1);
  const lines = text.split('\n');
  for (const [i, line] of lines.entries()) {
    enforceLimit(line.length, limits.lineCharacters, 'characters in a line', i + 1);
    // A carriage return ends a line for HAProxy, so a directive could hide behind it.
    const found = controlCharacter.exec(line);
    if (found) {
      const code = found[0].charCodeAt(0).toString(16).padStart(2, '0');
      throw new ConfigRejected(`control character 0x${code}`, i + 1);
    }
  }
  return lines;
};

// eslint's no-control-regex is not in our set; \t separates words
const controlCharacter = /[\u0000-\u0008\u000b-\u001f\u007f]/;
