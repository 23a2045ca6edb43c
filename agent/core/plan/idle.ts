// SPDX-License-Identifier: Apache-2.0
// How long flows may be idle, by member number, and less when the table fills.
import { type Clock, secondsToStamps } from './clock.js';
import type { Numbers } from './numbers.js';

export interface IdleLimits {
  /** Stamp units by member number. */
  readonly idle: Uint32Array;
  /** Stamp units that a closed flow keeps its SNAT port. */
  readonly closed: number;
}

/** Above this part of the table, idle UDP flows and closed flows make room for others. */
export const CROWDED = 0.75;
const CROWDED_UDP_SECONDS = 30;
const CROWDED_CLOSED_SECONDS = 5;
const CLOSED_SECONDS = 60;

/** Limits for a table with `members` numbers; a number that nobody has keeps its flows for an hour. */
export const idleLimits = (
  numbers: Numbers,
  members: number,
  clock: Clock,
  isCrowded: boolean,
): IdleLimits => {
  const idle = new Uint32Array(members).fill(secondsToStamps(3600, clock));
  const listeners = new Map(Object.values(numbers.listeners).map((l) => [l.number, l]));
  for (const member of Object.values(numbers.members)) {
    const listener = listeners.get(member.listener);
    if (listener === undefined) continue;
    const seconds = listener.idleMs / 1000;
    const shortened = isCrowded && listener.protocol !== 'TCP';
    const limit = shortened ? Math.min(seconds, CROWDED_UDP_SECONDS) : seconds;
    idle[member.number] = secondsToStamps(limit, clock);
  }
  const closed = isCrowded ? CROWDED_CLOSED_SECONDS : CLOSED_SECONDS;
  return { idle, closed: secondsToStamps(closed, clock) };
};
