// SPDX-License-Identifier: Apache-2.0
// The heartbeat: its document, and the datagram that carries it (contract 3.1, 3.3).
import { createHmac } from 'node:crypto';
import { constants, deflateSync } from 'node:zlib';
import type { Totals } from './deltas.js';
import type { PoolStatus } from './statuses.js';

/** What one UDP datagram holds: 65,535 bytes less the headers of IPv4 and UDP. */
export const MAX_DATAGRAM_BYTES = 65_507;

/** Bytes and connections since the last heartbeat, except `conns`: open now. None is negative (P55). */
export interface ListenerStats {
  readonly tx: number;
  readonly rx: number;
  readonly conns: number;
  readonly totconns: number;
  readonly ereq: number;
}

export interface Heartbeat {
  readonly id: string;
  readonly seq: number;
  readonly listeners: Readonly<
    Record<string, { readonly status: 'OPEN'; readonly stats: ListenerStats }>
  >;
  readonly pools: Readonly<Record<string, PoolStatus>>;
  readonly ver: 3;
}

export interface HeartbeatInput {
  readonly amphoraId: string;
  /** Heartbeats since the agent's start, from 0. */
  readonly seq: number;
  /** Ids of all enabled listeners: one too many or too few is a failover (contract P51). */
  readonly listenerIds: readonly string[];
  readonly deltas: ReadonlyMap<string, Totals>;
  readonly open: ReadonlyMap<string, number>;
  readonly pools: ReadonlyMap<string, PoolStatus>;
}

/** Version 3. A listener that nobody counts is reported with zeros. */
export const buildHeartbeat = (input: HeartbeatInput): Heartbeat => ({
  id: input.amphoraId,
  seq: input.seq,
  listeners: Object.fromEntries(
    input.listenerIds.map((id) => [id, { status: 'OPEN', stats: statsOf(id, input) }]),
  ),
  pools: Object.fromEntries(input.pools),
  ver: 3,
});

/**
 * Seals a heartbeat for UDP: zlib-compressed JSON, then 64 ASCII hex digits of HMAC-SHA256 over the
 * compressed bytes. Format: Octavia's status_message.wrap_envelope, which the controller undoes.
 */
export const sealHeartbeat = (message: Heartbeat, key: string): Buffer => {
  const payload = deflateSync(JSON.stringify(message), {
    level: constants.Z_BEST_COMPRESSION,
    memLevel: 9,
  });
  const signature = createHmac('sha256', key).update(payload).digest('hex');
  return Buffer.concat([payload, Buffer.from(signature)]);
};

/**
 * The heartbeat without its members, for when the whole does not fit a datagram. Members are then shown as
 * OFFLINE, which is wrong but harmless; a heartbeat that never arrives is a failover.
 */
export const withoutMembers = (message: Heartbeat): Heartbeat => ({
  ...message,
  pools: Object.fromEntries(
    Object.entries(message.pools).map(([key, { status }]) => [key, { status, members: {} }]),
  ),
});

/** The column behind `conns` has 32 bits, and refuses more. */
const MAX_CONNECTIONS = 2 ** 31 - 1;

const statsOf = (id: string, { deltas, open }: HeartbeatInput): ListenerStats => {
  const { bin = 0, bout = 0, stot = 0, ereq = 0 } = deltas.get(id) ?? {};
  const conns = Math.min(open.get(id) ?? 0, MAX_CONNECTIONS);
  return { tx: bout, rx: bin, conns, totconns: stot, ereq };
};
