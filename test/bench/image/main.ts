// SPDX-License-Identifier: Apache-2.0
// main.js JSON-FILE IMAGE...: every image booted in turns, so that a busy hour of the host is shared by all.
import { appendFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { resolve } from 'node:path';
import { FIGURES, jsonLines, table, type Figure, type Sample } from './figures.js';
import { measure, type Machine } from './measure.js';

const [jsonFile = 'build/bench-image.jsonl', ...images] = process.argv.slice(2);
const number = (name: string, value: number): number => Number(process.env[name] ?? value);
const rounds = number('ROUNDS', 3);
const machine: Machine = {
  megabytes: number('MEGABYTES', 1024),
  processors: number('PROCESSORS', 2),
};
const { megabytes, processors } = machine;

const load = (): string => loadavg()[0]?.toFixed(1) ?? '?';
console.log(
  `Linux ${release()}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, load ${load()}; ` +
    `guests under emulation: ${processors} processors, ${megabytes} MiB`,
);
const samples: Sample[] = [];
const loads: number[] = [];
for (let round = 1; round <= rounds; round += 1) {
  for (const image of images) {
    const figures = await measure(resolve(image), machine);
    loads.push(Number(load()));
    samples.push({ image, figures });
    const words = (Object.keys(FIGURES) as Figure[]).map(
      (figure) => `${figure} ${figures[figure].toFixed(FIGURES[figure][1])}`,
    );
    console.log(`  ${round}. ${image}: ${words.join(', ')}; host load ${load()}`);
  }
}
console.log(`\n${table(images, samples).join('\n')}`);
appendFileSync(
  jsonFile,
  `${jsonLines(images, samples, { ...machine, rounds, loads }).join('\n')}\n`,
);
console.log(`\nJSON lines: ${jsonFile}`);
