// SPDX-License-Identifier: Apache-2.0
// Where lines go, and what stands before them.
import type { Moment } from './logged-flow.js';
import { stampText } from './time-text.js';

/** One `log` line of a config. */
export interface LogTarget {
  /** Of a Unix datagram socket. */
  readonly path: string;
  /** 16 is local0. */
  readonly facility: number;
  readonly tag: string;
  /** Most bytes of a message. */
  readonly length: number;
}

export const LOCAL0 = 16;
/** The contract's socket (9.1), HAProxy's tag and its default length. */
export const defaultTarget = (facility: number): LogTarget => ({
  path: '/run/rsyslog/octavia/log',
  facility,
  tag: 'haproxy',
  length: 1024,
});

/** `local0`, or the number of one that has no such name. */
export const facilityName = (facility: number): string =>
  facility >= LOCAL0 ? `local${facility - LOCAL0}` : String(facility);

const INFO = 6;

/** What stands before the line: priority, time and tag as HAProxy writes them (RFC 3164, without a host name). */
export const logHeader = ({ facility, tag }: LogTarget, now: Moment, pid: number): string =>
  `<${facility * 8 + INFO}>${stampText(now)} ${tag}[${pid}]: `;

/** Header, line and newline as they are sent: no control characters, and not longer than the target takes. */
export const logMessage = (header: string, line: string, { length }: LogTarget): Buffer => {
  const text = Buffer.from(`${header}${line.replaceAll(/\p{Cc}/gu, ' ')}\n`);
  if (text.length <= length) return text;
  return Buffer.concat([text.subarray(0, length - 1), Buffer.from('\n')]);
};
