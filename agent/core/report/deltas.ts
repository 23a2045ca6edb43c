// SPDX-License-Identifier: Apache-2.0
// Counters that only grow, and fall when their engine restarts, into what was added since last time (contract 3.3).

/** Bytes from and to clients, request errors, connections: by the names of HAProxy and of the file. */
export interface Totals {
  readonly bin: number;
  readonly bout: number;
  readonly ereq: number;
  readonly stot: number;
}

/** What the engines say of a listener now; null for one that does not serve it. */
export interface Reading {
  /** `worker` names the process: another one counts from 0 again. */
  readonly haproxy: (Totals & { readonly worker: string }) | null;
  readonly datapath: Totals | null;
}

/**
 * The last absolute values of a listener. The four are the sum over both engines; what the datapath has in
 * them stands beside it, so that a listener that changes engines is billed neither twice nor not at all.
 */
export interface Baseline extends Totals {
  readonly datapath?: Totals;
  readonly worker?: string;
}

/** By listener id. */
export type Baselines = ReadonlyMap<string, Baseline>;

/** Growth since `before`, never negative, and the baselines for next time. Unknown listeners begin at 0. */
export const takeDeltas = (
  before: Baselines,
  readings: ReadonlyMap<string, Reading>,
): { readonly deltas: ReadonlyMap<string, Totals>; readonly after: Baselines } => {
  const deltas = new Map<string, Totals>();
  const after = new Map(before);
  for (const [id, reading] of readings) {
    const { delta, baseline } = advance(before.get(id) ?? zero, reading);
    deltas.set(id, delta);
    after.set(id, baseline);
  }
  return { deltas, after: forgetOldest(after, readings) };
};

/** The file's text. A reference agent can read it, and go on. */
export const formatBaselines = (baselines: Baselines): string =>
  JSON.stringify(Object.fromEntries(baselines));

/** Of a file that may be the reference's, or anything: what is not a baseline is left out. */
export const parseBaselines = (text: string): Baselines => {
  const found = new Map<string, Baseline>();
  for (const [id, value] of Object.entries(parseObject(text))) {
    const totals = readTotals(value);
    if (totals === null) continue;
    const { datapath, worker } = value as { datapath?: unknown; worker?: unknown };
    const share = readTotals(datapath);
    found.set(id, {
      ...totals,
      ...(share === null ? {} : { datapath: share }),
      ...(typeof worker === 'string' ? { worker } : {}),
    });
  }
  return found;
};

const METRICS = ['bin', 'bout', 'ereq', 'stot'] as const;
const zero: Totals = { bin: 0, bout: 0, ereq: 0, stot: 0 };

const combine = (a: Totals, b: Totals, how: (a: number, b: number) => number): Totals => ({
  bin: how(a.bin, b.bin),
  bout: how(a.bout, b.bout),
  ereq: how(a.ereq, b.ereq),
  stot: how(a.stot, b.stot),
});
const plus = (a: Totals, b: Totals): Totals => combine(a, b, (one, other) => one + other);
const minus = (a: Totals, b: Totals): Totals =>
  combine(a, b, (one, other) => Math.max(0, one - other));

/** A counter that fell was reset: all it holds is new. */
const growth = (now: Totals, last: Totals): Totals =>
  combine(now, last, (one, other) => (one < other ? one : one - other));

const advance = (last: Baseline, { haproxy, datapath }: Reading) => {
  const lastDatapath = last.datapath ?? zero;
  const lastHaproxy = minus(last, lastDatapath);
  const isNewWorker =
    haproxy !== null && last.worker !== undefined && last.worker !== haproxy.worker;
  const delta = plus(
    haproxy === null ? zero : growth(haproxy, isNewWorker ? zero : lastHaproxy),
    datapath === null ? zero : growth(datapath, lastDatapath),
  );
  const share = datapath ?? last.datapath;
  const worker = haproxy?.worker ?? last.worker;
  const baseline: Baseline = {
    ...plus(haproxy ?? lastHaproxy, share ?? zero),
    ...(share === undefined ? {} : { datapath: share }),
    ...(worker === undefined ? {} : { worker }),
  };
  return { delta, baseline };
};

/** A disabled listener comes back with its counters, so they are kept, but not of all that ever were. */
const KEPT_ABSENT = 1024;

const forgetOldest = (
  baselines: ReadonlyMap<string, Baseline>,
  readings: ReadonlyMap<string, Reading>,
): Baselines => {
  const absent = [...baselines.keys()].filter((id) => !readings.has(id));
  const forgotten = new Set(absent.slice(0, Math.max(0, absent.length - KEPT_ABSENT)));
  return new Map([...baselines].filter(([id]) => !forgotten.has(id)));
};

const parseObject = (text: string): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {}; // cut off, or never JSON: as good as no file
  }
};

const readTotals = (value: unknown): Totals | null => {
  if (typeof value !== 'object' || value === null) return null;
  const fields = value as Record<string, unknown>;
  const isCounter = (one: unknown): boolean => Number.isSafeInteger(one) && Number(one) >= 0;
  if (!METRICS.every((name) => isCounter(fields[name]))) return null;
  const [bin = 0, bout = 0, ereq = 0, stot = 0] = METRICS.map((name) => Number(fields[name]));
  return { bin, bout, ereq, stot };
};
