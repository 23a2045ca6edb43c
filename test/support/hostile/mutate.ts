// SPDX-License-Identifier: Apache-2.0
// What happens to a text on its way from a controller that is broken, old, or not a controller.
import type { Random } from './random.js';

/** Words that readers of configs, numbers, JSON and shells stumble over. */
const SHRAPNEL = [
  ...['\n', '\r', '\r\n', '\0', ' ', '\t', '"', "'", '\\', '#', '!', '{', '}', ':', '/', '-', '%'],
  ...['`', '$', '${HOME}', '%[env(PATH)]', '..', '../../..', '//', '\u00e9', '\u{1f600}', '\u2028'],
  ...['-1', '0', '00', '0x10', '1e9', 'NaN', '999999999999999999999', '2147483648', '65536'],
  ...['::', '::1:', '[', '256.1.1.1', '10.0.0.1:80', '0.0.0.0/0', '\\x41', '\\x', '\\n'],
  ...['__proto__', 'constructor', 'null', 'undefined', '%s%n', 'A'.repeat(300)],
];

/** One to three changes of `text`; `lines` are inserted whole where a line begins. */
export const mutate = (text: string, random: Random, lines: readonly string[]): Buffer => {
  let changed = text;
  for (let step = 1 + random.below(3); step > 0; step -= 1)
    changed = change(changed, random, lines);
  return random.chance(0.2) ? flip(Buffer.from(changed), random) : Buffer.from(changed);
};

const change = (text: string, random: Random, inserts: readonly string[]): string => {
  const at = random.below(text.length + 1);
  const lines = text.split('\n');
  const line = random.below(lines.length);
  switch (random.below(9)) {
    case 0: // cut out
      return text.slice(0, at) + text.slice(at + random.below(200));
    case 1: // put in
      return text.slice(0, at) + random.pick(SHRAPNEL) + text.slice(at);
    case 2: // a line twice
      return lines.toSpliced(line, 0, lines[line] ?? '').join('\n');
    case 3: // two lines change places
      return lines
        .toSpliced(line, 1)
        .toSpliced(random.below(lines.length), 0, lines[line] ?? '')
        .join('\n');
    case 4: // other words
      return text.replace(/\S+/g, (word) => (random.chance(0.01) ? random.pick(SHRAPNEL) : word));
    case 5: // cut short
      return text.slice(0, at);
    default: // what somebody would like to have there
      return lines.toSpliced(line, 0, random.pick(inserts)).join('\n');
  }
};

/** Some bytes become others: the result may be no UTF-8. */
const flip = (data: Buffer, random: Random): Buffer => {
  for (let count = 1 + random.below(4); count > 0 && data.length > 0; count -= 1) {
    data[random.below(data.length)] = random.below(256);
  }
  return data;
};
