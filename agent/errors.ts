// SPDX-License-Identifier: Apache-2.0
// What can go wrong with a request, and the one table from there to HTTP.

/**
 * Code to status. The controller takes every status outside 400, 401, 403, 404, 405, 409, 500 and 503
 * for success (contract 1.2, P4), so failures use these alone.
 */
const STATUS = {
  CONFIG_REJECTED: 400,
  REQUEST_INVALID: 400,
  ADDRESS_NOT_FOUND: 404,
  CERTIFICATE_NOT_FOUND: 404,
  INTERFACE_NOT_FOUND: 404,
  OBJECT_NOT_FOUND: 404,
  PATH_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  INTERFACE_EXISTS: 409,
  CONFIG_NOT_WRITTEN: 500,
  INTERNAL: 500,
  NETWORK_FAILED: 500,
  SERVICE_FAILED: 500,
} as const satisfies Record<string, number>;

export type ErrorCode = keyof typeof STATUS;

/** The body that the reference agent answers; a few operations send `details` alone (contract 1.1). */
export type ErrorBody =
  | { readonly message?: string; readonly details?: string }
  | { readonly error: string; readonly http_code: number };

/** A failure that is understood: it has a status and the exact body of the contract. */
export class AgentError extends Error {
  readonly code: ErrorCode;
  readonly body: ErrorBody;

  constructor(code: ErrorCode, body: ErrorBody, options?: ErrorOptions) {
    super(JSON.stringify(body), options);
    this.name = 'AgentError';
    this.code = code;
    this.body = body;
  }

  get status(): number {
    return STATUS[this.code];
  }
}

const NAMES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  500: 'Internal Server Error',
};

/** An error in the words of the reference's web framework: `{"error": "404 Not Found: ...", "http_code": 404}`. */
export const frameworkError = (
  code: ErrorCode,
  text: string,
  options?: ErrorOptions,
): AgentError => {
  const status = STATUS[code];
  const error = `${status} ${NAMES[status] ?? 'Error'}: ${text}`;
  return new AgentError(code, { error, http_code: status }, options);
};

/** The text of any thrown value, for logs and `details`. */
export const textOf = (thrown: unknown): string =>
  thrown instanceof Error ? thrown.message : String(thrown);
