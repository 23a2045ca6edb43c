// SPDX-License-Identifier: Apache-2.0
// A row of the tables: what is asked, what comes back, and what it leaves behind.
import { createHash } from 'node:crypto';
import type { Ask, Bytes } from './amphora-client.js';

/**
 * What a value shall be: a pattern for text, a constructor for any value of that type, null for one that is not
 * there, and otherwise the value itself. Objects have exactly these keys.
 */
export type Wanted = unknown;

export interface Row {
  /** A sentence, and the key of the row. */
  readonly name: string;
  /** `certificates`: files of the pairs, by name. */
  readonly ask: Ask | ((certificates: Readonly<Record<string, string>>) => Ask);
  readonly status?: number;
  /** Content type; JSON when absent. */
  readonly type?: Wanted;
  /** Of a JSON answer its value, of another its text. Not looked at when absent. */
  readonly body?: Wanted;
  readonly headers?: Readonly<Record<string, Wanted>>;
  /** What Octavia's method returns, or its exception; from the status when absent. */
  readonly outcome?: Wanted;
  /** What is there afterwards; the keys are those of probe.ts. */
  readonly leaves?: Readonly<Record<string, Wanted>>;
}

export const call = (name: string, ...args: readonly unknown[]): Ask => ({
  call: name,
  arguments: args,
});

/** Past Octavia's methods, for what they never send. */
export const raw = (
  method: string,
  path: string,
  more: { readonly headers?: Readonly<Record<string, string>>; readonly body?: Bytes } = {},
): Ask => ({ request: { method, path, ...more } });

export const bytes = (data: Uint8Array): Bytes => ({
  base64: Buffer.from(data).toString('base64'),
});

export const OK = { message: 'OK' } as const;

/** The ETag of the contract: bare hexadecimal MD5 of what was received or stored. */
export const etagOf = (data: string | Uint8Array) => ({
  etag: createHash('md5').update(data).digest('hex'),
});

/** Errors in the words of the stock agent's web framework. */
export const framework = (status: number, words: string) => ({
  status,
  body: { error: `${status} ${words}`, http_code: status },
});
export const NOT_FOUND = framework(
  404,
  'Not Found: The requested URL was not found on the server. If you entered the URL manually ' +
    'please check your spelling and try again.',
);
export const NOT_ALLOWED = framework(
  405,
  'Method Not Allowed: The method is not allowed for the requested URL.',
);
