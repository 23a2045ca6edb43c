// SPDX-License-Identifier: Apache-2.0
// A route as data, and answers with the exact content types of the reference agent.

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export interface Request {
  /** Path parameters, percent-decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly contentType: string;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  /** Bare hexadecimal MD5, unquoted as the reference sends it (contract 1.1). */
  readonly etag?: string;
  /** Set for the two operations that return a file. */
  readonly text?: string;
}

export interface Route {
  readonly method: Method;
  /** `:name` matches anything but a slash. */
  readonly path: string;
  handle(request: Request): Promise<Answer> | Answer;
}

export const OK = { message: 'OK' } as const;

export const answer = (status: number, body: unknown): Answer => ({ status, body });

/** A path parameter; the router has filled it in, or there is a bug. */
export const param = (request: Request, name: string): string => {
  const value = request.params[name];
  if (value === undefined) throw new Error(`route without parameter ${name}`);
  return value;
};

/** True for a content type that says JSON. */
export const isJson = (contentType: string): boolean =>
  /^application\/([\w.-]+\+)?json\b/i.test(contentType);

/**
 * The JSON value of a body, or undefined when it has not the content type or is not JSON: each operation
 * has its own words for that, always with 400 (contract 1.1).
 */
export const jsonBody = (request: Request): unknown => {
  if (!isJson(request.contentType)) return undefined;
  try {
    return JSON.parse(request.body.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
};
