// SPDX-License-Identifier: Apache-2.0
// A local socket for amphoractl: JSON, a line each way, for root alone.
import { chmod, mkdir, rm } from 'node:fs/promises';
import { type Socket, createServer } from 'node:net';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import type { FastifyBaseLogger } from 'fastify';
import type { Counters, FlowEvent, FlowFilter, FlowRecord } from '../core/model/dataplane.js';
import type { Status } from '../core/report/status.js';
import { textOf } from '../errors.js';

export type ControlRequest =
  | { readonly command: 'status' }
  | { readonly command: 'stats' }
  | { readonly command: 'flows'; readonly filter: FlowFilter }
  | { readonly command: 'follow'; readonly filter: FlowFilter };

/** A `follow` is answered by `events` until the caller hangs up; everything else by one line. */
export type ControlAnswer =
  | { readonly result: unknown }
  | { readonly events: readonly FlowEvent[] }
  | { readonly error: string };

export interface ControlSource {
  status(): Promise<Status>;
  counters(): Counters;
  flows(filter: FlowFilter): FlowRecord[];
  follow(onEvents: (events: readonly FlowEvent[]) => void): () => void;
}

export interface ControlServer {
  /** Followers are hung up on. */
  close(): void;
}

/** A reader that is this far behind is cut off: events would fill the agent's memory. */
const MAX_BACKLOG_BYTES = 64 * 1024 * 1024;
const MAX_REQUEST = 64 * 1024;

export const serveControl = async (
  path: string,
  source: ControlSource,
  log: FastifyBaseLogger,
): Promise<ControlServer> => {
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true }); // of an agent that was killed
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    const lines = createInterface({ input: socket });
    lines.on('line', (line) => {
      answer(line, socket, source).catch((error: unknown) => {
        log.warn({ err: error }, 'control request failed');
        write(socket, { error: textOf(error) });
      });
    });
    lines.on('error', () => socket.destroy());
  });
  const mask = process.umask(0o177); // from the first moment
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  }).finally(() => process.umask(mask));
  await chmod(path, 0o600);
  return {
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
};

const answer = async (line: string, socket: Socket, source: ControlSource): Promise<void> => {
  const request = parseRequest(line);
  if (request === null) {
    write(socket, { error: 'not a request' });
    return;
  }
  switch (request.command) {
    case 'status':
      write(socket, { result: await source.status() });
      return;
    case 'stats':
      write(socket, { result: source.counters() });
      return;
    case 'flows':
      write(socket, { result: source.flows(request.filter) });
      return;
    case 'follow':
      socket.once(
        'close',
        source.follow((events) => {
          const wanted = events.filter((event) => isWanted(event, request.filter));
          if (wanted.length > 0) write(socket, { events: wanted });
        }),
      );
  }
};

const write = (socket: Socket, message: ControlAnswer): void => {
  if (socket.writableLength > MAX_BACKLOG_BYTES) socket.destroy();
  else if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
};

const isWanted = (event: FlowEvent, { listenerId, memberId, client }: FlowFilter): boolean =>
  (listenerId === undefined || event.listenerId === listenerId) &&
  (memberId === undefined || event.memberId === memberId) &&
  (client === undefined || addressOf(event.client) === client);

/** Of `192.0.2.1:80` or `[2001:db8::1]:80`. */
const addressOf = (endpoint: string): string =>
  endpoint.replace(/:\d+$/, '').replaceAll(/[[\]]/g, '');

const parseRequest = (line: string): ControlRequest | null => {
  if (line.length > MAX_REQUEST) return null;
  try {
    const value = JSON.parse(line) as { command?: unknown; filter?: unknown };
    switch (value.command) {
      case 'status':
      case 'stats':
        return { command: value.command };
      case 'flows':
      case 'follow':
        return { command: value.command, filter: filterOf(value.filter) };
      default:
        return null;
    }
  } catch {
    return null;
  }
};

const filterOf = (value: unknown): FlowFilter => {
  const fields = (typeof value === 'object' && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  const { listenerId, memberId, client, limit } = fields;
  return {
    ...(typeof listenerId === 'string' ? { listenerId } : {}),
    ...(typeof memberId === 'string' ? { memberId } : {}),
    ...(typeof client === 'string' ? { client } : {}),
    ...(typeof limit === 'number' && limit > 0 ? { limit } : {}),
  };
};
