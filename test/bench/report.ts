// SPDX-License-Identifier: Apache-2.0
// One table for people, one JSON line per figure for programs.
import type { Row } from './subjects.js';

export interface Figures {
  readonly bench: 'test-run' | 'veth-path' | 'tcp-path';
  readonly metric: string;
  readonly rows: readonly Row[];
}

/** Upper bounds in ns, by subject; the project's own, for the machine that they were set on. */
const BOUNDS: Readonly<Record<string, number>> = {
  'established TCP, IPv4, 1 flow': 28,
  'established TCP, IPv6, 1 flow': 35,
  'established UDP, IPv4, 1 flow': 28,
  'established UDP, IPv6, 1 flow': 35,
  'established UDP, IPv4, 16384 flows': 110,
  'established UDP, IPv4, 65536 flows': 160,
  'established UDP, IPv4, 1048576 flows': 560,
  'new TCP flow, IPv4': 750,
  'SYN above the guard, IPv4': 90,
  'not ours, IPv4': 25,
};

export const jsonLines = ({ bench, metric, rows }: Figures): string[] =>
  rows.map(({ subject, minimum, median, runs }) =>
    JSON.stringify({
      ...{ bench, subject, metric, unit: 'ns', median: round(median), min: round(minimum), runs },
    }),
  );

export const table = ({ bench, metric, rows }: Figures): string[] => [
  '',
  `${`${bench}: ${metric}`.padEnd(60)}${'min'.padStart(10)}${'median'.padStart(10)}${'bound'.padStart(8)}`,
  ...rows.map(({ subject, minimum, median }) => {
    const bound = BOUNDS[subject];
    const figures = [minimum, median].map((ns) => ns.toFixed(1).padStart(10)).join('');
    const over = bound !== undefined && minimum > bound ? '  over' : '';
    return `  ${subject.padEnd(58)}${figures}${(bound ?? '').toString().padStart(8)}${over}`;
  }),
];

const round = (ns: number): number => Math.round(ns * 10) / 10;
