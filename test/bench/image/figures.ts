// SPDX-License-Identifier: Apache-2.0
// What is measured of an image, in the order of the table.

export type Figure = keyof typeof FIGURES;

/** Label and decimals by figure. CPU is the emulator's, in seconds; sizes are in MB of a million bytes, memory in MiB. */
export const FIGURES = {
  disk: ['qcow2, MB', 0],
  root: ['root file system used, MB', 0],
  packages: ['packages', 0],
  answer: ['CPU s to the first answer over mutual TLS (/)', 1],
  info: ['CPU s to that of /1.0/info', 1],
  complete: ['CPU s until cloud-init has done', 1],
  wall: ['wall clock s to the first answer', 0],
  used: ['RAM used when idle (free), MiB', 0],
  available: ['RAM available when idle, MiB', 0],
  agent: ['agent: memory of its processes (PSS), MiB', 0],
  group: ['agent: memory of its control group, MiB', 0],
  idle: ['CPU s per minute when idle', 1],
} as const satisfies Record<string, readonly [string, number]>;

export type Figures = Readonly<Record<Figure, number>>;

export interface Sample {
  readonly image: string;
  readonly figures: Figures;
}

/** Middle value; the mean of the two in the middle of an even number. */
export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? NaN;
  const half = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? at(half) : (at(half - 1) + at(half)) / 2;
};

/** Medians by figure, one column per image, and the share of the first image in brackets. */
export const table = (images: readonly string[], samples: readonly Sample[]): string[] => {
  const heads = images.map((image) => image.slice(-24).padStart(26)).join('');
  return [
    `${'medians'.padEnd(48)}${heads}`,
    ...(Object.keys(FIGURES) as Figure[]).map((figure) => {
      const [label, decimals] = FIGURES[figure];
      const values = images.map((image) => median(valuesOf(samples, image, figure)));
      const cells = values.map((value, i) => {
        const share = i === 0 ? '' : ` (${(value / (values[0] ?? NaN)).toFixed(2)})`;
        return `${value.toFixed(decimals)}${share}`.padStart(26);
      });
      return `  ${label.padEnd(46)}${cells.join('')}`;
    }),
  ];
};

/** One line per image and figure, with every round's value. */
export const jsonLines = (
  images: readonly string[],
  samples: readonly Sample[],
  machine: object,
): string[] =>
  images.flatMap((image) =>
    (Object.keys(FIGURES) as Figure[]).map((figure) => {
      const runs = valuesOf(samples, image, figure);
      const line = { bench: 'image', image, figure, emulated: true, ...machine };
      return JSON.stringify({ ...line, median: median(runs), runs });
    }),
  );

const valuesOf = (samples: readonly Sample[], image: string, figure: Figure): number[] =>
  samples.filter((sample) => sample.image === image).map(({ figures }) => figures[figure]);
