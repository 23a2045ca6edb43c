// SPDX-License-Identifier: Apache-2.0
// What a demo leaves that was kept or killed: processes, namespaces, a directory. Written down while it runs.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Namespace } from '../support/netns.js';
import { run } from '../support/run.js';

export const PREFIX = 'amp-demo';
const NOTES = '/run/amphora-xdp-demo.json';

export interface Remains {
  readonly directory: string;
  readonly processes: readonly { readonly pid: number; readonly start: string }[];
  /** kernel.bpf_stats_enabled before the demo switched it on. */
  readonly bpfStats: string;
}

/** A process by its number and its start time, so that a number given to another is not mistaken for it. */
export const identify = (pid: number): { pid: number; start: string } => ({
  pid,
  start: startOf(pid),
});

export const writeDown = (remains: Remains): void => {
  writeFileSync(NOTES, JSON.stringify(remains));
};

/** True when there was something to remove. */
export const removeRemains = async (): Promise<boolean> => {
  const remains = read();
  for (const { pid, start } of remains?.processes ?? []) {
    if (start !== '' && startOf(pid) === start) process.kill(pid, 'SIGKILL');
  }
  const names = (await run('ip', ['netns', 'list']))
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '');
  const ours = names.filter((name) => name.startsWith(`${PREFIX}-`));
  for (const name of ours) await Namespace.at(name).remove();
  if (remains) {
    rmSync(remains.directory, { recursive: true, force: true });
    await run('sysctl', ['-qw', `kernel.bpf_stats_enabled=${remains.bpfStats}`]);
  }
  rmSync(NOTES, { force: true });
  return remains !== null || ours.length > 0;
};

const read = (): Remains | null => {
  try {
    return JSON.parse(readFileSync(NOTES, 'utf8')) as Remains;
  } catch {
    return null; // never written, or not to its end
  }
};

const startOf = (pid: number): string => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
};
