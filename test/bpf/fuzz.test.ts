// SPDX-License-Identifier: Apache-2.0
// Random and broken packets on this kernel, for both hooks, each judged by what an onlooker on both wires may expect.
//   SEED=7 PACKETS=100000 node_modules/.bin/tap --timeout=0 test/bpf/fuzz.test.ts      other packets, and so many
// Without PACKETS as many as fit in some seconds. A namespace of its own and one CPU, as for the packet tables.
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { seedOfRun } from '../support/random.js';

const worker = fileURLToPath(new URL('fuzz-worker.ts', import.meta.url));
const objects = fileURLToPath(new URL('../../build/bpf', import.meta.url));
const packets = process.env['PACKETS'];
const limits = packets === undefined ? ['100000', '10'] : [packets, '86400'];

for (const hook of ['xdp', 'tc']) {
  const node = [process.execPath, ...process.execArgv, worker, objects, hook];
  const args = ['1', 'unshare', '--net', ...node, seedOfRun(), ...limits];
  t.spawn('taskset', args, { timeout: 86_400_000 }, `random packets by ${hook}`);
}
