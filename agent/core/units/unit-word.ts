// SPDX-License-Identifier: Apache-2.0
// A word of a command line in a systemd unit.

/** systemd takes double-quoted words with backslashes, and expands % and $ (systemd.service(5)). */
export const unitWord = (word: string): string =>
  /^[\w./:@+=-]+$/.test(word)
    ? word
    : `"${word.replaceAll(/[\\"]/g, '\\$&').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`;
