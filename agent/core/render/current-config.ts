// SPDX-License-Identifier: Apache-2.0
// An uploaded config as this HAProxy can judge it.
import { lexHaproxy, type Line, type Section } from '../parse/haproxy-lexer.js';
import { defaultLimits } from '../parse/limits.js';
import { currentLine } from './current-line.js';

/**
 * The whole config with the lines of old controllers said in today's words (contract P37). A line that goes
 * leaves an empty one, so that HAProxy's complaints name the lines of the upload. Throws ConfigRejected.
 */
export const currentConfig = (text: string): string => {
  const known = new Map<number, { line: Line; section: Section }>();
  for (const section of lexHaproxy(text, defaultLimits)) {
    for (const line of section.body) known.set(line.number, { line, section });
  }
  return text
    .split('\n')
    .map((raw, i) => {
      const found = known.get(i + 1);
      return found === undefined ? raw : currentLine(found.line, found.section).join('\n');
    })
    .join('\n');
};
