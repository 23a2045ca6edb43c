// SPDX-License-Identifier: Apache-2.0
// One first boot of one image. Judged by the emulator's CPU seconds, which grow with the instructions that the guest
// executes and hardly depend on how busy the host is.
import { existsSync, statSync } from 'node:fs';
import { Cleanup } from '../../support/image/cleanup.js';
import { BOOT_MS, bootImage, type Booted } from '../../support/image/image-bed.js';
import { sleep } from '../../support/run.js';
import type { Figures } from './figures.js';

export interface Machine {
  readonly megabytes: number;
  readonly processors: number;
}

/** Boots from a config drive of its own, waits until nothing more happens, and looks around. Throws when it does not come up. */
export const measure = async (image: string, machine: Machine): Promise<Figures> => {
  const cleanup = new Cleanup();
  try {
    const begin = Date.now();
    const booted = await bootImage(cleanup, { image, ...machine });
    const { vm, controller } = booted;
    await answered(booted);
    const answer = vm.cpuSeconds();
    const wall = (Date.now() - begin) / 1000;
    await controller.must('GET', '/1.0/info');
    const info = vm.cpuSeconds();
    await vm.shell.wait(BOOT_MS);
    // Not `cloud-init status --wait`: that is Python, and would be charged to the guest.
    await vm.shell.run('until [ -e /run/cloud-init/result.json ]; do sleep 1; done', BOOT_MS);
    const complete = vm.cpuSeconds();
    const idle = await settled(booted);
    const seen = await lookAround(booted);
    return { disk: statSync(image).size / 1e6, answer, wall, info, complete, idle, ...seen };
  } finally {
    await cleanup.run();
  }
};

/** Asks four times a second: to refuse a connection costs the guest something, too. */
const answered = async ({ controller }: Booted): Promise<void> => {
  const end = Date.now() + BOOT_MS;
  while (Date.now() < end) {
    if (existsSync(controller.socketPath)) {
      const answer = await controller.call('GET', '/').catch(() => null);
      if (answer?.status === 200) return;
    }
    await sleep(250);
  }
  throw new Error('the agent does not answer');
};

/** Half a minute at least, and until a stretch of ten seconds is no busier than the one before. CPU per minute of the last. */
const settled = async ({ vm }: Booted): Promise<number> => {
  const stretch = async (): Promise<number> => {
    const before = vm.cpuSeconds();
    await sleep(10_000);
    return vm.cpuSeconds() - before;
  };
  await stretch();
  let last = await stretch();
  for (let i = 0; i < 30; i += 1) {
    const next = await stretch();
    if (next >= last * 0.8) return next * 6;
    last = next;
  }
  return last * 6;
};

/** Shell in the guest: names and numbers. Memory of a service is that of its control group's processes. */
const SCRIPT = `
set -- $(free -m | grep ^Mem:)
echo used $3; echo available $7
set -- $(df -B1000 / | tail -n 1)
echo root $3
echo packages $(dpkg-query -W | wc -l)
group=/sys/fs/cgroup$(systemctl show -P ControlGroup amphora-agent)
echo group $(cat $group/memory.current)
total=0
for process in $(cat $group/cgroup.procs); do
    set -- $(grep ^Pss: /proc/$process/smaps_rollup)
    total=$((total + $2))
done
echo agent $total
`;

const lookAround = async ({ vm }: Booted) => {
  const text = await vm.shell.run(SCRIPT);
  const number = (name: string, unit = 1): number => {
    const found = new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1];
    if (found === undefined) throw new Error(`the guest says nothing of ${name}: ${text}`);
    return Number(found) / unit;
  };
  return {
    used: number('used'),
    available: number('available'),
    root: number('root', 1000),
    packages: number('packages'),
    group: number('group', 1024 * 1024),
    agent: number('agent', 1024),
  };
};
