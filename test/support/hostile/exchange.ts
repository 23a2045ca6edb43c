// SPDX-License-Identifier: Apache-2.0
// Bytes in, answer out: a client over mutual TLS that keeps no rule of HTTP.
import { connect, type TLSSocket } from 'node:tls';
import { controllerTls } from '../tls.js';

export interface Exchange {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Sends `bytes` on a connection of its own. Null: the agent hung up without an answer. */
export const exchange = (
  socketPath: string,
  bytes: Uint8Array,
  timeoutMs = 60_000,
): Promise<Exchange | null> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect({ ...controllerTls(), path: socketPath }, () => {
      socket.write(bytes);
    });
    socket.setTimeout(timeoutMs, () => {
      reject(
        new Error(
          `no answer in ${timeoutMs} ms: ${Buffer.from(bytes).toString('latin1').slice(0, 200)}`,
        ),
      );
      socket.destroy();
    });
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (isWhole(Buffer.concat(chunks))) socket.destroy();
    });
    // The agent may refuse and close while the rest is still on its way.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve(parseAnswer(Buffer.concat(chunks)));
    });
  });

/** A TLS connection that says nothing yet. */
export const openTls = (socketPath: string): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ ...controllerTls(), path: socketPath }, () => {
      resolve(socket);
    });
    socket.on('error', reject);
  });

const isWhole = (data: Buffer): boolean => {
  const answer = parseAnswer(data);
  const length = answer?.headers.get('content-length');
  return (
    answer !== null && length !== undefined && Buffer.byteLength(answer.body) >= Number(length)
  );
};

/** Interim answers (1xx) are skipped. */
export const parseAnswer = (data: Buffer): Exchange | null => {
  const text = data.toString();
  const end = text.indexOf('\r\n\r\n');
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0);
  if (end < 0 || status === 0) return null;
  const body = text.slice(end + 4);
  if (status < 200) return parseAnswer(Buffer.from(body));
  const lines = text.slice(0, end).split('\r\n').slice(1);
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  return { status, headers, body };
};
