// SPDX-License-Identifier: Apache-2.0
// Time from an event here to what another process sees: one clock, CLOCK_MONOTONIC, for all of the machine.
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Milliseconds from the call of `trigger` to the time that the watcher prints, after its first line. */
export const millisecondsUntil = async (
  watcher: ChildProcess,
  trigger: () => Promise<void> | void,
): Promise<number> => {
  if (!watcher.stdout) throw new Error('the watcher has no output');
  const lines = createInterface({ input: watcher.stdout })[Symbol.asyncIterator]();
  await lines.next();
  const began = process.hrtime.bigint();
  const [seen] = await Promise.all([lines.next(), trigger()]);
  if (seen.done === true) throw new Error('the watcher saw nothing');
  return Number(BigInt(seen.value) - began) / 1e6;
};

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
};
