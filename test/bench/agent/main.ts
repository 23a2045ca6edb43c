// SPDX-License-Identifier: Apache-2.0
// Our agent beside the stock one: main.js PREFIX STOCK-ROOT JSON-FILE [quick]. Both in VMs of the same world, one
// after the other, through the same controller and the same stand-in for systemd.
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { inCheckout } from '../../support/paths.js';
import { measure, type Effort, type Figures } from './measure.js';
import { jsonLines, table } from './report.js';
import type { Contender } from './subject.js';

const [prefix = '', stockRoot = '', jsonFile = '', length = 'full', only = ''] =
  process.argv.slice(2);
const effort: Effort =
  length === 'quick'
    ? { rounds: 3, idleSeconds: 20, infoSeconds: 3 }
    : { rounds: 7, idleSeconds: 60, infoSeconds: 10 };

const shims = inCheckout('test/bench/agent/image');
const contenders: readonly Contender[] = [
  {
    name: 'ours',
    command: [`${prefix}/bin/amphora-agent`],
    images: [shims],
    usesMaps: true,
  },
  {
    name: 'stock',
    command: ['/usr/bin/amphora-agent'],
    images: [shims, stockRoot],
    usesMaps: false,
  },
];

const busy = loadavg()[0]?.toFixed(1) ?? '?';
console.log(
  `Linux ${release()}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, load ${busy}`,
);
const found = new Map<string, Figures>();
for (const contender of contenders) {
  if (only !== '' && contender.name !== only) continue;
  found.set(contender.name, await measure(contender, effort));
}
const figuresOf = (name: Contender['name']): Figures =>
  found.get(name) ?? new Map<string, number>();
const [ours, stock] = [figuresOf('ours'), figuresOf('stock')];
console.log(table(ours, stock).join('\n'));
writeFileSync(jsonFile, `${jsonLines(ours, stock).join('\n')}\n`);
console.log(`\nJSON lines: ${jsonFile}`);
