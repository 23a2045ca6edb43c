// SPDX-License-Identifier: Apache-2.0
// Single values of both grammars: numbers in their ranges, times, addresses with ports.
import { parseIpAddress } from '../model/address.js';
import type { IpAddress } from '../model/load-balancer.js';
import { ConfigRejected } from './config-rejected.js';

/** Where a value stands, for the message. */
export interface Place {
  readonly what: string;
  readonly line: number;
}

/** A decimal integer within its bounds. Throws ConfigRejected for anything else, also when it is missing. */
export const readInteger = (
  text: string | undefined,
  [low, high]: readonly [number, number],
  { what, line }: Place,
): number => {
  const value = text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= low && value <= high) return value;
  throw new ConfigRejected(`${what} is not a number from ${low} to ${high}: ${quoted(text)}`, line);
};

export const readPort = (text: string | undefined, place: Place): number =>
  readInteger(text, [1, 65535], place);

export const readWeight = (text: string | undefined, place: Place): number =>
  readInteger(text, [0, 256], place);

const unitMs: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
/** HAProxy keeps times in signed 32-bit milliseconds. */
const maxTimeMs = 2 ** 31 - 1;

/** Milliseconds; a number without a unit already is (contract 4.2). Throws ConfigRejected. */
export const readTimeMs = (text: string | undefined, { what, line }: Place): number => {
  const [, digits, unit] = /^(\d{1,15})(us|ms|s|m|h|d)?$/.exec(text ?? '') ?? [];
  const ms = digits === undefined ? Number.NaN : Number(digits) * (unitMs[unit ?? 'ms'] ?? 1);
  if (ms <= maxTimeMs) return Math.round(ms);
  throw new ConfigRejected(`${what} is not a time up to 24 days: ${quoted(text)}`, line);
};

/**
 * `10.0.0.1:80`, `2001:db8::1:80`, `[2001:db8::1]:80`: the port is what follows the last colon
 * (contract P41). Address and port as text; null where there is no colon.
 */
export const splitLastColon = (text: string): { host: string; port: string } | null => {
  const colon = text.lastIndexOf(':');
  if (colon < 0) return null;
  const host = text.slice(0, colon);
  const bare = /^\[(.*)\]$/.exec(host)?.[1] ?? host;
  return { host: bare, port: text.slice(colon + 1) };
};

export const readAddress = (text: string | undefined, { what, line }: Place): IpAddress => {
  const address = parseIpAddress(text ?? '');
  if (address === null)
    throw new ConfigRejected(`${what} is not an IP address: ${quoted(text)}`, line);
  return address;
};

/** A word of the config as it may stand in a message: short and printable. */
export const quoted = (text: string | undefined): string =>
  text === undefined
    ? 'nothing'
    : JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
