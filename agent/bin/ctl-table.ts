// SPDX-License-Identifier: Apache-2.0
// Columns for people.

/** Lines with aligned columns; numbers are set to the right. */
export const renderTable = (
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string[] => {
  const widths = header.map((name, i) =>
    Math.max(name.length, ...rows.map((row) => String(row[i] ?? '').length)),
  );
  const line = (cells: readonly (string | number)[]): string =>
    cells
      .map((cell, i) =>
        typeof cell === 'number'
          ? String(cell).padStart(widths[i] ?? 0)
          : cell.padEnd(widths[i] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [line(header), ...rows.map(line)];
};

/** 1234567 -> `1.2M`, for bytes and packets. */
export const shortNumber = (value: number): string => {
  const units = ['', 'k', 'M', 'G', 'T', 'P'];
  let unit = 0;
  let rest = value;
  while (rest >= 1000 && unit < units.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  return unit === 0 ? String(value) : `${rest.toFixed(rest < 10 ? 1 : 0)}${units[unit] ?? ''}`;
};
