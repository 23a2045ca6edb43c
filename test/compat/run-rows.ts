// SPDX-License-Identifier: Apache-2.0
// Runs a table on an amphora, row by row: a row may build on those before it.
import type { AmphoraUnderTest } from './amphora-under-test.js';
import { type Finding, type Observation, judge, observe, wantedOf } from './judge.js';
import { probe } from './probe.js';
import type { Row, Wanted } from './row.js';

/** Fields in which a row's answer shall be another one, by the row's name. */
export type Overrides = Readonly<Record<string, Readonly<Record<string, Wanted>>>>;

export interface Outcome {
  readonly row: Row;
  /** Method and path as sent; null where it was no request. */
  readonly request: readonly [string, string] | null;
  readonly seen: Observation;
  readonly findings: readonly Finding[];
  /** Overrides that say what the row says anyway. */
  readonly needless: readonly string[];
}

export const runRow = async (
  { vm, client }: AmphoraUnderTest,
  row: Row,
  overrides: Readonly<Record<string, Wanted>> = {},
): Promise<Outcome> => {
  const ask = typeof row.ask === 'function' ? row.ask(client.certificates) : row.ask;
  const heard = await client.ask(ask);
  const left: Record<string, unknown> = {};
  for (const key of Object.keys(row.leaves ?? {})) left[key] = await probe(vm, key);
  const seen = withSortedAllow(observe(heard, left));
  const plain = wantedOf(row);
  const differing = new Set(judge(plain, seen).map(({ field }) => field));
  return {
    row,
    request: heard.seen === null ? null : [heard.seen.method, heard.seen.path],
    seen,
    findings: judge({ ...plain, ...overrides }, seen),
    needless: Object.keys(overrides).filter((field) => !differing.has(field)),
  };
};

/** The order of methods means nothing. */
const withSortedAllow = (seen: Observation): Observation => {
  const allow = seen['header allow'];
  if (typeof allow !== 'string') return seen;
  return { ...seen, 'header allow': allow.split(', ').sort().join(', ') };
};
