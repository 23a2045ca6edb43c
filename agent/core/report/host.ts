// SPDX-License-Identifier: Apache-2.0
// The machine under the agent in an operator's words, and what about it ought to worry them.

/** Bytes, seconds, and shares from 0 to 1. */
export interface HostFacts {
  readonly hostname: string;
  readonly system: string;
  readonly kernel: string;
  readonly uptimeSeconds: number;
  readonly cpu: { readonly model: string; readonly count: number; readonly load: number };
  readonly memory: { readonly total: number; readonly available: number };
  readonly filesystems: readonly Filesystem[];
  readonly processes: readonly Process[];
}

export interface Filesystem {
  readonly mount: string;
  readonly size: number;
  readonly available: number;
}

/** All processes of one program together; `cpu` is in shares of the whole machine. */
export interface Process {
  readonly program: string;
  readonly count: number;
  readonly cpu: number;
  readonly memory: number;
}

/** Uploads are staged on disk, and a full one refuses them; HAProxy and the maps need memory to grow into. */
export const hostWarnings = (facts: HostFacts): readonly string[] => [
  ...facts.filesystems
    .filter(({ size, available }) => size > 0 && available / size < 0.1)
    .map(({ mount, available }) => `${mount} is nearly full: ${bytes(available)} left`),
  ...(facts.memory.available / facts.memory.total < 0.1
    ? [`memory is nearly used up: ${bytes(facts.memory.available)} left`]
    : []),
  ...(facts.cpu.load > 0.9 ? [`all CPUs are busy: ${percent(facts.cpu.load)}`] : []),
  ...facts.processes
    .filter(({ program, count }) => program === 'amphora-agent' && count === 0)
    .map(() => 'no amphora-agent runs'),
];

export const renderHost = (facts: HostFacts): readonly string[] => [
  `${facts.hostname}: ${facts.system}, Linux ${facts.kernel}, up ${duration(facts.uptimeSeconds)}`,
  `cpu     ${String(facts.cpu.count)} x ${facts.cpu.model}, ${percent(facts.cpu.load)} busy`,
  `memory  ${bytes(facts.memory.available)} of ${bytes(facts.memory.total)} available`,
  ...facts.filesystems.map(
    ({ mount, size, available }) =>
      `disk    ${bytes(available)} of ${bytes(size)} free on ${mount}`,
  ),
  ...facts.processes.map(
    ({ program, count, cpu, memory }) =>
      `process ${program}: ${count === 0 ? 'none' : `${String(count)}, ${percent(cpu)} of the CPUs, ${percent(memory)} of the memory`}`,
  ),
  ...hostWarnings(facts).map((warning) => `warning: ${warning}`),
];

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

const bytes = (count: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(Math.max(Math.floor(Math.log2(count) / 10), 0), units.length - 1);
  const scaled = count / 1024 ** power;
  return `${scaled.toFixed(power > 0 && scaled < 10 ? 1 : 0)} ${units[power] ?? ''}`;
};

const duration = (seconds: number): string => {
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor(seconds / 3600) % 24;
  const minutes = Math.floor(seconds / 60) % 60;
  return days > 0
    ? `${String(days)} d ${String(hours)} h`
    : `${String(hours)} h ${String(minutes)} min`;
};
