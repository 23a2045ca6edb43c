// SPDX-License-Identifier: Apache-2.0
// Facts about the machine, read when asked. None of these reads may fail a request: an error answer to
// `info` ends the boot of a load balancer (contract 1.6).
import { open, readFile, statfs } from 'node:fs/promises';
import { cpus, hostname } from 'node:os';
import { run } from './run.js';

export interface Versions {
  readonly hostname: string;
  readonly haproxy_version: string;
  readonly api_version: '1.0';
  readonly keepalived_version: string;
  readonly ipvsadm_version: string;
}

/** What the controller makes of the amphora; the HAProxy version must begin with a number (contract P15). */
export const readVersions = async (haproxyCmd: string): Promise<Versions> => {
  const [haproxy, keepalived, ipvsadm] = await Promise.all(
    ['haproxy', 'keepalived', 'ipvsadm'].map(packageVersion),
  );
  return {
    hostname: hostname(),
    haproxy_version: withoutEpoch(haproxy ?? (await haproxyVersion(haproxyCmd))),
    api_version: '1.0',
    keepalived_version: keepalived ?? '',
    ipvsadm_version: ipvsadm ?? '',
  };
};

/** The machine's part of `details` (contract 1.5, 3). */
export const readMachine = async () => {
  const [cpu, memory, load, disk, profiles] = await Promise.all([
    cpuTicks(),
    memoryKilobytes(),
    read('/proc/loadavg'),
    statfs('/'),
    read('/etc/tuned/active_profile'),
  ]);
  return {
    // All of them: in a pinned image (isolcpus) this process may run on the first alone, and the controller gives
    // the others to HAProxy.
    cpu_count: cpus().length,
    cpu,
    memory,
    disk: {
      used: (disk.blocks - disk.bfree) * disk.bsize,
      available: disk.bavail * disk.bsize,
    },
    load: load.split(' ').slice(0, 3),
    active_tuned_profiles: profiles.trim().slice(0, 1024),
  };
};

/** Makes the kernel look for hot-plugged devices. Machines without PCI have nothing to look at. */
export const rescanPci = async (): Promise<void> => {
  try {
    const file = await open('/sys/bus/pci/rescan', 'w');
    await file.write('1').finally(() => file.close());
  } catch {
    // containers, and machines without PCI: the interface appears by itself or not at all
  }
};

const cpuTicks = async () => {
  const [, ...ticks] = ((await read('/proc/stat')).split('\n')[0] ?? '').trim().split(/\s+/);
  return {
    user: ticks[0] ?? '0',
    system: ticks[2] ?? '0',
    soft_irq: ticks[6] ?? '0',
    total: ticks.reduce((sum, value) => sum + Number(value), 0),
  };
};

const memoryKilobytes = async () => {
  const rows = (await read('/proc/meminfo')).matchAll(/^(\w+):\s+(\d+)/gm);
  const of = new Map([...rows].map(([, name, value]) => [name, Number(value)]));
  const row = (name: string): number => of.get(name) ?? 0;
  return {
    total: row('MemTotal'),
    free: row('MemFree'),
    buffers: row('Buffers'),
    cached: row('Cached'),
    swap_used: row('SwapCached'),
    shared: row('Shmem'),
    slab: row('Slab'),
  };
};

const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');

const packageVersion = async (name: string): Promise<string | null> => {
  const questions = [
    ['dpkg-query', '-W', '-f=${Version}', name],
    ['rpm', '-q', '--queryformat', '%{VERSION}', name],
  ] as const;
  for (const [program, ...args] of questions) {
    try {
      const { stdout } = await run(program, args, { timeoutMs: 5000 });
      if (/^[\w.:+~-]+$/.test(stdout.trim())) return stdout.trim();
    } catch {
      // not this package manager, or not a package
    }
  }
  return null;
};

/** Of an HAProxy that no package brought. */
const haproxyVersion = async (haproxyCmd: string): Promise<string> => {
  try {
    const { stdout } = await run(haproxyCmd, ['-v'], { timeoutMs: 5000 });
    return /version (\d[\w.+~-]*)/.exec(stdout)?.[1] ?? '0.0';
  } catch {
    return '0.0';
  }
};

const withoutEpoch = (version: string): string => version.replace(/^\d+:/, '');
