// SPDX-License-Identifier: Apache-2.0
// All figures: bench.js OBJECTS BUILD JSON-FILE [quick]. To be run in a network namespace of its own.
import { appendFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { addon } from '../../native/index.js';
import { buildWorld } from '../bpf/support/world.js';
import { Meter } from './meter.js';
import { jsonLines, table, type Figures } from './report.js';
import { Subjects, type Row } from './subjects.js';
import { TcpPath } from './tcp-path.js';
import { VethPath } from './veth-path.js';

const [objects = '', build = '', jsonFile = '', length = 'full'] = process.argv.slice(2);
const isQuick = length === 'quick';

const publish = (figures: Figures): void => {
  console.log(table(figures).join('\n'));
  appendFileSync(jsonFile, `${jsonLines(figures).join('\n')}\n`);
};

const testRun = (): void => {
  const meter = new Meter(`${build}/base.bpf.o`);
  const batches = isQuick ? { count: 9, repeat: 300_000 } : { count: 25, repeat: 1_000_000 };
  const subjects = new Subjects(meter, objects, batches);
  const flows = isQuick ? [1, 16_384, 65_536] : [1, 16_384, 65_536, 1_048_576];
  const families = [4, 6] as const;
  const each = (make: (family: 4 | 6) => Row): Row[] => families.map(make);
  const rows = [
    ...each((family) => subjects.base(family)),
    ...each((family) => subjects.bare(family)),
    ...each((family) => subjects.establishedTcp(family)),
    ...families.flatMap((family) => flows.map((count) => subjects.establishedUdp(family, count))),
    ...each((family) => subjects.newTcp(family)),
    ...each((family) => subjects.aboveGuard(family)),
    ...each((family) => subjects.notOurs(family)),
  ];
  meter.close();
  publish({ bench: 'test-run', metric: 'CPU time per packet above base', rows });
};

const wholePaths = async (): Promise<void> => {
  const path = await VethPath.open({
    generator: `${build}/generate.bpf.o`,
    program: `${build}/generate`,
    objects,
    packets: isQuick ? 300_000 : 1_000_000,
    batches: isQuick ? 15 : 25,
  });
  try {
    const { rows, ratio, grossRatio } = path.measure([1, 16_384]);
    publish({ bench: 'veth-path', metric: 'CPU time per datagram, all hops', rows });
    console.log(
      `  ours by xdp / nftables: ${ratio.toFixed(3)} without the generator, ${grossRatio.toFixed(3)} with it (bound 0.25)`,
    );
    const tcp = new TcpPath(
      {
        program: `${build}/pingpong`,
        objects,
        requests: isQuick ? 20_000 : 100_000,
        batches: isQuick ? 3 : 7,
      },
      path.client,
      path.member,
    );
    try {
      publish({
        bench: 'tcp-path',
        metric: 'CPU time of all who take part',
        rows: await tcp.measure(),
      });
    } finally {
      tcp.close();
    }
  } finally {
    path.close();
  }
};

addon.setLog(null);
writeFileSync(jsonFile, '');
buildWorld();
const busy = loadavg()[0]?.toFixed(1) ?? '?';
console.log(
  `Linux ${release()}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, load ${busy}: cold figures suffer most from a busy machine`,
);
testRun();
await wholePaths();
console.log(`\nJSON lines: ${jsonFile}`);
