// SPDX-License-Identifier: Apache-2.0
// Batches into figures: a table for people, and JSON lines with the keys of `make bench`.

export interface Sample {
  /** Of the emulator, generator and sink included, per packet that arrived. */
  readonly cpuNs: number;
  readonly packetsPerSecond: number;
  /** Share of the packets that arrived. */
  readonly share: number;
}

/** Samples of one subject with one number of flows. */
export interface Series {
  readonly subject: string;
  readonly flows: number;
  readonly samples: readonly Sample[];
}

export interface Circumstances {
  readonly kernel: string;
  readonly packets: number;
}

export const GENERATOR = 'generator alone';
export const FORWARDING = 'plain forwarding';

interface Figures {
  readonly cpu: Spread;
  /** Without what the generator alone takes, the least and the median of both. */
  readonly own: Spread;
  /** `own` to that of plain forwarding. */
  readonly ratio: Spread;
  readonly pps: Spread;
  readonly lost: number;
}

interface Spread {
  readonly min: number;
  readonly median: number;
}

/** One series per subject and number of flows, in their order, of what was measured in several sittings. */
export const merge = (all: readonly Series[]): Series[] => {
  const merged = new Map<string, Series>();
  for (const series of all) {
    const key = `${series.flows} ${series.subject}`;
    const samples = [...(merged.get(key)?.samples ?? []), ...series.samples];
    merged.set(key, { ...series, samples });
  }
  return [...merged.values()].sort((a, b) => a.flows - b.flows);
};

/** What is subtracted is an estimate, which errs both ways: the median is the figure, the least only beside it. */
const figuresOf = (all: readonly Series[], { flows, samples, subject }: Series): Figures => {
  const cpuOf = (name: string): Spread =>
    spread(
      all
        .filter((other) => other.subject === name && other.flows === flows)
        .flatMap((other) => other.samples.map(({ cpuNs }) => cpuNs)),
    );
  const cpu = cpuOf(subject);
  const alone = cpuOf(GENERATOR);
  const own = less(cpu, alone);
  const forwarding = less(cpuOf(FORWARDING), alone);
  return {
    cpu,
    own,
    ratio: { min: own.min / forwarding.min, median: own.median / forwarding.median },
    pps: spread(samples.map(({ packetsPerSecond }) => packetsPerSecond)),
    lost: 1 - Math.min(...samples.map(({ share }) => share)),
  };
};

const less = (a: Spread, b: Spread): Spread => ({
  min: a.min - b.min,
  median: a.median - b.median,
});

const spread = (values: readonly number[]): Spread => {
  const sorted = [...values].sort((a, b) => a - b);
  return { min: sorted[0] ?? Number.NaN, median: sorted[sorted.length >> 1] ?? Number.NaN };
};

const HEAD = [
  '',
  '                              packets     CPU per packet, us   its own      ratio to',
  '  subject             flows   a second    median     least    median  plain forwarding',
];

export const table = (all: readonly Series[]): string[] => [
  ...HEAD,
  ...all.map((series) => {
    const { cpu, own, ratio, pps, lost } = figuresOf(all, series);
    const us = (ns: number): string => (ns / 1000).toFixed(1).padStart(10);
    const isAlone = series.subject === GENERATOR;
    return [
      `  ${series.subject.padEnd(18)}${String(series.flows).padStart(7)}`,
      pps.median.toFixed(0).padStart(11),
      us(cpu.median),
      us(cpu.min),
      isAlone ? '' : us(own.median),
      isAlone ? '' : ratio.median.toFixed(2).padStart(18),
      lost > 0.001 ? `  ${(lost * 100).toFixed(1)} % lost` : '',
    ].join('');
  }),
];

export const jsonLines = (all: readonly Series[], around: Circumstances): string[] =>
  all.flatMap((series) => {
    const { subject, flows, samples } = series;
    const { cpu, own, ratio, pps, lost } = figuresOf(all, series);
    const place = { bench: 'pktgen', subject, flows };
    const rest = { runs: samples.length, ...around, emulated: true, lost: round(lost, 4) };
    const line = (metric: string, unit: string, { min, median }: Spread, digits: number) =>
      JSON.stringify({
        ...place,
        ...{ metric, unit, median: round(median, digits), min: round(min, digits) },
        ...rest,
      });
    return [
      line('CPU per packet', 'ns', cpu, 0),
      line('packets per second', '1/s', pps, 0),
      ...(subject === GENERATOR
        ? []
        : [
            line('CPU per packet without the generator', 'ns', own, 0),
            line('ratio to plain forwarding', '', ratio, 3),
          ]),
    ];
  });

const round = (value: number, digits: number): number => Number(value.toFixed(digits));
