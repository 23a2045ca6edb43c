// SPDX-License-Identifier: Apache-2.0
// What the agent has counted, to be held against what it counted before.
import type { Bed } from './bed.js';

/** Every number in `amphoractl stats --json` by its path, but for what is open now and what an agent counts for itself. */
export const counters = async (bed: Bed): Promise<Map<string, number>> => {
  const found = new Map<string, number>();
  const visit = (value: unknown, path: string) => {
    const isLasting = !/\b(open|conns|capacity)$|^stats\.log\b/.test(path);
    if (typeof value === 'number' && isLasting) found.set(path, value);
    if (typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries(value)) visit(inner, `${path}.${key}`);
  };
  visit(JSON.parse(await bed.vm.ctl('stats', '--json')), 'stats');
  return found;
};

/** Paths of the numbers that are less than they were. */
export const backwards = (
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): string[] =>
  [...before].filter(([name, value]) => (after.get(name) ?? -1) < value).map(([name]) => name);
