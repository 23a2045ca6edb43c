// SPDX-License-Identifier: Apache-2.0
// One request to the agent, as bytes, and what may come back.

export interface Input {
  /** What it is about: the seed and its number give the rest. */
  readonly kind: string;
  readonly bytes: Buffer;
  /** Statuses that the contract has for this. */
  readonly allowed: readonly number[];
  /** False where closing without an answer is one, too. */
  readonly mustAnswer: boolean;
  /** The path of the configuration's own GET, which must tell the same after a refusal. */
  readonly readBack?: string;
}

export interface Message {
  readonly method: string;
  readonly path: string;
  readonly body?: Buffer | string;
  readonly headers?: readonly string[];
}

/** The bytes of a request with a right Content-Length. */
export const requestBytes = ({ method, path, body, headers = [] }: Message): Buffer => {
  const content = Buffer.from(body ?? '');
  const lines = [
    `${method} ${path} HTTP/1.1`,
    'Host: amphora',
    ...(method === 'GET' && content.length === 0 ? [] : [`Content-Length: ${content.length}`]),
    ...headers,
  ];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), content]);
};
