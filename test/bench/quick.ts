// SPDX-License-Identifier: Apache-2.0
// The five figures to look at while changing the datapath, in some seconds.
import { addon } from '../../native/index.js';
import { buildWorld } from '../bpf/support/world.js';
import { Meter } from './meter.js';
import { Subjects, type Row } from './subjects.js';

const [objects = 'build/bpf', benchObject = 'build/bench/base.bpf.o'] = process.argv.slice(2);
addon.setLog(null);
buildWorld();
const meter = new Meter(benchObject);
const subjects = new Subjects(meter, objects, { count: 9, repeat: 400_000 });
const rows: readonly (() => Row)[] = [
  () => subjects.base(4),
  () => subjects.base(6),
  () => subjects.bare(4),
  () => subjects.bare(6),
  () => subjects.establishedTcp(4),
  () => subjects.establishedTcp(6),
  () => subjects.establishedUdp(4, 1),
  () => subjects.establishedUdp(6, 1),
  () => subjects.establishedUdp(4, 16_384),
  () => subjects.newTcp(4),
  () => subjects.aboveGuard(4),
  () => subjects.notOurs(4),
  () => subjects.notOurs(6),
];
console.log(`${'ns, base subtracted'.padEnd(44)}${'min'.padStart(8)}${'median'.padStart(8)}`);
for (const make of rows) {
  try {
    const { subject, minimum, median } = make();
    console.log(
      `${subject.padEnd(44)}${minimum.toFixed(1).padStart(8)}${median.toFixed(1).padStart(8)}`,
    );
  } catch (error) {
    console.log(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
meter.close();
