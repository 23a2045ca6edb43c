// SPDX-License-Identifier: Apache-2.0
// How the demo speaks: headlines, sentences and small tables.

export const headline = (text: string): void => {
  console.log(`\n\x1b[1m${text}\x1b[0m`);
};

export const say = (text: string): void => {
  console.log(text.replaceAll(/^/gm, '  '));
};

/** Columns as wide as their widest cell; the first row is the head. */
export const table = (rows: readonly (readonly string[])[]): void => {
  const widths = (rows[0] ?? []).map((_, i) =>
    Math.max(...rows.map((row) => (row[i] ?? '').length)),
  );
  for (const row of rows)
    say(
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    );
};

/** `m1 2x, m2 4x` in the order of names. */
export const tally = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `${name} ${count}x`)
    .join(', ');
