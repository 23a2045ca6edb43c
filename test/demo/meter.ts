// SPDX-License-Identifier: Apache-2.0
// What the kernel counts: runs and time of the XDP programs, and the machine's CPU time.
import { readFileSync } from 'node:fs';
import { run } from '../support/run.js';
import type { AmphoraVm } from '../support/amphora-vm.js';

export interface ProgramTime {
  readonly packets: number;
  readonly nanoseconds: number;
}

/** Packets seen by the programs on the amphora's interfaces and the time spent on them, since they were loaded. */
export const programTime = async (vm: AmphoraVm): Promise<ProgramTime> => {
  const links = JSON.parse(await vm.execTenant('ip', '-j', '-d', 'link')) as {
    xdp?: { prog?: { id: number } };
  }[];
  const ids = new Set(links.map(({ xdp }) => xdp?.prog?.id).filter((id) => id !== undefined));
  const total = { packets: 0, nanoseconds: 0 };
  for (const id of ids) {
    const text = await run('bpftool', ['-j', 'prog', 'show', 'id', String(id)]);
    const program = JSON.parse(text) as { run_cnt?: number; run_time_ns?: number };
    total.packets += program.run_cnt ?? 0;
    total.nanoseconds += program.run_time_ns ?? 0;
  }
  return total;
};

/** Seconds of work of all CPUs together since boot: everything but idle and waiting. */
export const cpuSeconds = (): number => {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = readFileSync(
    '/proc/stat',
    'utf8',
  )
    .split('\n', 1)
    .join('')
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq) / 100;
};
