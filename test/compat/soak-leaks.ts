// SPDX-License-Identifier: Apache-2.0
// What an amphora holds: files, processes, descriptors, namespaces, kernel objects. Two of these must be alike when
// nothing is configured, whatever happened in between.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { AmphoraVm } from '../support/amphora-vm.js';
import { run } from '../support/run.js';

export interface Holdings {
  /** All that the VM has written since its boot, under their own names. */
  readonly files: readonly string[];
  readonly processes: readonly string[];
  /** Descriptors of the agent by what they are. */
  readonly descriptors: Readonly<Record<string, number>>;
  readonly namespaces: readonly string[];
  readonly pins: readonly string[];
}

export const takeHoldings = (vm: AmphoraVm): Holdings => {
  const processes = processesOf(vm);
  return {
    files: ['/mnt/etc/upper', '/mnt/var/upper', '/mnt/usr/upper', '/run']
      .flatMap((root) => walk(vm, root))
      .sort(),
    processes: processes.map(({ command }) => command).sort(),
    descriptors: descriptorsOf(vm, agentOf(vm)),
    namespaces: readdirSync(vm.path('/run/netns')).sort(),
    pins: walk(vm, '/sys/fs/bpf').sort(),
  };
};

/** By the title that it gives itself, or, until then, by its program. Throws when none runs. */
export const agentOf = (vm: AmphoraVm): number => {
  const isAgent = ({ command }: Process) => /^amphora-agent$|amphora-agent\.js/.test(command);
  const agent = processesOf(vm).find(isAgent);
  if (agent === undefined) throw new Error('no agent runs');
  return agent.pid;
};

/** Resident memory of the agent, in MiB. */
export const memoryOf = (vm: AmphoraVm, pid: number): number => {
  const status = readFileSync(vm.path(`/proc/${pid}/status`), 'utf8');
  return Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024);
};

const walk = (vm: AmphoraVm, root: string): string[] =>
  readdirSync(vm.path(root), { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(vm.path('').length));

interface Process {
  /** As the VM counts. */
  readonly pid: number;
  readonly command: string;
}

const processesOf = (vm: AmphoraVm): Process[] =>
  readdirSync(vm.path('/proc'))
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const words = readFileSync(vm.path(`/proc/${name}/cmdline`), 'utf8').split('\0');
        return [{ pid: Number(name), command: words.join(' ').trim() }];
      } catch {
        return []; // it has ended meanwhile
      }
    });

const descriptorsOf = (vm: AmphoraVm, pid: number): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const name of readdirSync(vm.path(`/proc/${pid}/fd`))) {
    const target = linkOf(vm.path(`/proc/${pid}/fd/${name}`));
    if (target === null) continue;
    const kind = target.replace(/\[?\d+\]?$/, '').replace(/^\/proc\/\d+/, '/proc');
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
};

const linkOf = (path: string): string | null => {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
};

export interface KernelObjects {
  readonly maps: ReadonlySet<number>;
  readonly programs: ReadonlySet<number>;
}

/** Those that the agent has descriptors of. */
export const objectsOf = (vm: AmphoraVm, pid: number): KernelObjects => {
  const ids = (field: string): Set<number> => {
    const found = new Set<number>();
    for (const name of readdirSync(vm.path(`/proc/${pid}/fdinfo`))) {
      const text = infoOf(vm.path(`/proc/${pid}/fdinfo/${name}`));
      const id = new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1];
      if (id !== undefined) found.add(Number(id));
    }
    return found;
  };
  return { maps: ids('map_id'), programs: ids('prog_id') };
};

const infoOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** Of these, the ones that the kernel still has. It gives no number twice for billions of objects. */
export const stillThere = async ({ maps, programs }: KernelObjects): Promise<string[]> => {
  const known = async (kind: string): Promise<Set<number>> => {
    const text = await run('bpftool', ['-j', kind, 'show']);
    return new Set((JSON.parse(text) as { id: number }[]).map(({ id }) => id));
  };
  const [mapIds, programIds] = [await known('map'), await known('prog')];
  return [
    ...[...maps].filter((id) => mapIds.has(id)).map((id) => `map ${id}`),
    ...[...programs].filter((id) => programIds.has(id)).map((id) => `program ${id}`),
  ];
};
