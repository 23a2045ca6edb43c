// SPDX-License-Identifier: Apache-2.0
// The packet tables on this kernel, for both hooks. Each run gets a network namespace of its own, which ends
// with its process: test-run takes devices, routes and neighbours from the caller's namespace. And a CPU: what the
// datapath remembers per CPU belongs to packets of one flow, which a network card brings to one CPU.
import { fileURLToPath } from 'node:url';
import t from 'tap';

const worker = fileURLToPath(new URL('worker.ts', import.meta.url));
const objects = fileURLToPath(new URL('../../build/bpf', import.meta.url));

for (const hook of ['xdp', 'xdp-uncached', 'tc']) {
  const node = [process.execPath, ...process.execArgv, worker, objects, hook];
  t.spawn('taskset', ['1', 'unshare', '--net', ...node], {}, `packet tables by ${hook}`);
}
