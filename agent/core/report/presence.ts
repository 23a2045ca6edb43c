// SPDX-License-Identifier: Apache-2.0
// Which listeners are told of. The controller counts them: another number than it expects, for as long as its
// heartbeat_timeout, is a failover (contract P51), and sometimes that is the cure.
import type { Listener } from '../model/load-balancer.js';
import { reportedListeners } from './statuses.js';

/**
 * How long a listener's HAProxy may be away before it counts as dead. Long enough for any restart; after a reboot
 * that lost the certificates of a TLS listener nothing but another amphora helps, and the reference's would be
 * replaced too.
 */
export const GRACE_MS = 60_000;

/** When each listener of HAProxy was last served, by id, in milliseconds of a clock that does not jump. */
export type LastServed = ReadonlyMap<string, number>;

export interface PresenceInput {
  readonly listeners: readonly Listener[];
  /** Frontends that HAProxy shows now. */
  readonly frontends: { has(listenerId: string): boolean };
  readonly lastServed: LastServed;
  readonly nowMs: number;
}

export interface Presence {
  readonly present: readonly Listener[];
  /** Enabled, and not told of. */
  readonly absentIds: readonly string[];
  readonly lastServed: LastServed;
}

/** All that are enabled, but for those whose HAProxy has been gone for too long. New ones have time to start. */
export const presentListeners = ({
  listeners,
  frontends,
  lastServed,
  nowMs,
}: PresenceInput): Presence => {
  const enabled = reportedListeners(listeners);
  const served = new Map(
    enabled
      .filter(({ engine }) => engine === 'haproxy')
      .map(({ id }) => [id, frontends.has(id) ? nowMs : (lastServed.get(id) ?? nowMs)]),
  );
  const isPresent = ({ id }: Listener): boolean => nowMs - (served.get(id) ?? nowMs) <= GRACE_MS;
  return {
    present: enabled.filter(isPresent),
    absentIds: enabled.filter((one) => !isPresent(one)).map(({ id }) => id),
    lastServed: served,
  };
};
