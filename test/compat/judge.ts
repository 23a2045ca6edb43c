// SPDX-License-Identifier: Apache-2.0
// Holds what was heard and found against a row.
import type { Heard } from './amphora-client.js';
import type { Row, Wanted } from './row.js';

/** Everything a row can speak of, by field. */
export type Observation = Readonly<Record<string, unknown>>;

export interface Finding {
  readonly field: string;
  readonly wanted: Wanted;
  readonly got: unknown;
}

/** `left`: the probes that the row names. */
export const observe = (
  { outcome, words, seen }: Heard,
  left: Readonly<Record<string, unknown>>,
): Observation => ({
  ...(seen === null
    ? {}
    : {
        status: seen.status,
        type: seen.headers['content-type'] ?? null,
        body: bodyOf(seen.headers['content-type'], Buffer.from(seen.body, 'base64').toString()),
        ...Object.fromEntries(
          Object.entries(seen.headers).map(([name, value]) => [`header ${name}`, value]),
        ),
      }),
  outcome: typeof words === 'string' ? `raises ${String(outcome)}` : outcome,
  ...left,
});

/** What the row says, by the observation's fields. */
export const wantedOf = (row: Row): Readonly<Record<string, Wanted>> => {
  const isHttp = row.status !== undefined;
  const outcome = 'outcome' in row ? row.outcome : raisedBy(row);
  return {
    ...(isHttp ? { status: row.status, type: 'type' in row ? row.type : 'application/json' } : {}),
    ...('body' in row ? { body: row.body } : {}),
    ...(isHttp ? { 'header connection': 'close' } : {}),
    ...Object.fromEntries(
      Object.entries(row.headers ?? {}).map(([name, value]) => [`header ${name}`, value]),
    ),
    ...(outcome === undefined ? {} : { outcome }),
    ...row.leaves,
  };
};

export const judge = (
  wanted: Readonly<Record<string, Wanted>>,
  seen: Observation,
): readonly Finding[] =>
  Object.entries(wanted)
    .filter(([field, value]) => !matches(seen[field] ?? null, value))
    .map(([field, value]) => ({ field, wanted: value, got: seen[field] ?? null }));

/** What Octavia's client raises for a status; everything else it takes for success. */
const RAISED: Readonly<Record<number, string>> = {
  400: 'raises InvalidRequest',
  401: 'raises Unauthorized',
  403: 'raises Forbidden',
  404: 'raises NotFound',
  405: 'raises InvalidRequest',
  409: 'raises Conflict',
  500: 'raises InternalServerError',
  503: 'raises ServiceUnavailable',
};

const raisedBy = ({ ask, status }: Row): Wanted => {
  if (status === undefined || typeof ask === 'function' || !('call' in ask)) return undefined;
  return RAISED[status] ?? /^(?!raises )|^$/;
};

const bodyOf = (type: string | undefined, text: string): unknown => {
  if (type !== 'application/json' || text === '') return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

const TYPES = new Map<unknown, string>([
  [String, 'string'],
  [Number, 'number'],
  [Object, 'object'],
]);

export const matches = (got: unknown, wanted: Wanted): boolean => {
  if (wanted instanceof RegExp) return typeof got !== 'string' ? got !== null : wanted.test(got);
  if (typeof wanted === 'function') return typeof got === TYPES.get(wanted);
  if (!isObject(wanted)) return Object.is(got, wanted);
  if (!isObject(got) || Array.isArray(got) !== Array.isArray(wanted)) return false;
  const keys = new Set([...Object.keys(got), ...Object.keys(wanted)]);
  return [...keys].every((key) => key in got && key in wanted && matches(got[key], wanted[key]));
};
