// SPDX-License-Identifier: Apache-2.0
// What the machine says of itself. Loaded only when asked for: the agent does not need it.
import {
  cpu,
  currentLoad,
  fsSize,
  mem,
  osInfo,
  processLoad,
  system,
  time,
} from 'systeminformation';
import type { HostFacts } from '../core/report/host.js';

const programs = ['amphora-agent', 'haproxy', 'keepalived'];

/** Takes about a second: load is a difference of two readings. */
export const readHostFacts = async (): Promise<HostFacts> => {
  // The first reading of each is an average since the boot; the second is of the time between.
  await Promise.all([currentLoad(), processLoad(programs.join(','))]);
  const [machine, os, processor, memory, filesystems] = await Promise.all([
    system(),
    osInfo(),
    cpu(),
    mem(),
    fsSize(),
  ]);
  await new Promise((wake) => setTimeout(wake, 500));
  const [load, processes] = await Promise.all([currentLoad(), processLoad(programs.join(','))]);
  return {
    hostname: os.hostname,
    system: [os.distro, os.release, machine.model && `on ${machine.model}`]
      .filter(Boolean)
      .join(' '),
    kernel: os.kernel,
    uptimeSeconds: time().uptime,
    cpu: { model: processor.brand, count: processor.cores, load: load.currentLoad / 100 },
    memory: { total: memory.total, available: memory.available },
    filesystems: filesystems
      .filter(({ mount }) => ['/', '/var', '/var/log', '/var/lib/octavia'].includes(mount))
      .map(({ mount, size, available }) => ({ mount, size, available })),
    processes: programs.map((program) => {
      const one = processes.find(({ proc }) => proc === program);
      return {
        program,
        count: one?.pids.length ?? 0,
        cpu: (one?.cpu ?? 0) / 100,
        memory: (one?.mem ?? 0) / 100,
      };
    }),
  };
};
