// SPDX-License-Identifier: Apache-2.0
// One table for people, one JSON line per figure for programs.
import type { Figures } from './measure.js';

interface Row {
  readonly figure: string;
  readonly text: string;
  readonly unit: 'ms' | 'MiB' | '1/s' | 's/min';
}

const ROWS: readonly Row[] = [
  { figure: 'start', text: 'start to the first answer over mutual TLS', unit: 'ms' },
  { figure: 'info 1', text: 'info requests, each on a new connection, 1 client', unit: '1/s' },
  { figure: 'info 4', text: 'the same, 4 clients', unit: '1/s' },
  ...(['tcp', 'http'] as const).flatMap((mode): Row[] => [
    { figure: `reload 1 ${mode}`, text: `${mode}: reload to first answer, 1 listener`, unit: 'ms' },
    { figure: `reload 50 ${mode}`, text: `${mode}: to an answer of each of 50`, unit: 'ms' },
    { figure: `reload +1 ${mode}`, text: `${mode}: to that of one more beside 50`, unit: 'ms' },
  ]),
  ...['idle', '50 tcp', '50 http', '50 tcp checked'].flatMap((when): Row[] => [
    { figure: `memory ${when}`, text: `memory, ${when}`, unit: 'MiB' },
    { figure: `memory ${when}, agent`, text: '  without HAProxy', unit: 'MiB' },
    {
      figure: `memory ${when}, agent anonymous`,
      text: '  of that, not backed by files',
      unit: 'MiB',
    },
  ]),
  { figure: 'maps', text: 'kernel memory of BPF maps, beside that', unit: 'MiB' },
  ...['no listener', '1 tcp', '50 tcp', '1 tcp checked', '50 tcp checked'].flatMap(
    (name): Row[] => [
      { figure: `cpu ${name}`, text: `CPU when idle, ${name}`, unit: 's/min' },
      { figure: `cpu ${name}, agent`, text: '  without HAProxy', unit: 's/min' },
    ],
  ),
];

/** How many times better ours is: of a rate, more is better; of all else, less. */
export const advantage = (unit: Row['unit'], ours: number, stock: number): number =>
  unit === '1/s' ? ours / stock : stock / ours;

export const table = (ours: Figures, stock: Figures): string[] => [
  `${'agent'.padEnd(56)}${'ours'.padStart(10)}${'stock'.padStart(10)}${'better by'.padStart(11)}`,
  ...rowsOf(ours, stock).map(({ text, unit, values: [our, its], factor }) => {
    const figures = [our, its].map((value) => show(value).padStart(10)).join('');
    return `  ${`${text}, ${unit}`.padEnd(54)}${figures}${factor.padStart(11)}`;
  }),
];

export const jsonLines = (ours: Figures, stock: Figures): string[] =>
  rowsOf(ours, stock).map(({ figure, unit, values: [our, its], factor }) =>
    JSON.stringify({ bench: 'agent', figure, unit, ours: our, stock: its, factor }),
  );

const rowsOf = (ours: Figures, stock: Figures) =>
  ROWS.map((row) => {
    const values = [ours.get(row.figure) ?? NaN, stock.get(row.figure) ?? NaN] as const;
    const ratio = advantage(row.unit, ...values);
    return { ...row, values, factor: Number.isFinite(ratio) ? `${ratio.toFixed(2)} x` : '' };
  });

const show = (value: number): string =>
  Number.isNaN(value) ? '-' : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
