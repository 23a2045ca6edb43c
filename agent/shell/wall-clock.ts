// SPDX-License-Identifier: Apache-2.0
// The time of day, as log lines want it.
import type { Moment } from '../core/log/logged-flow.js';

const zoneText = (minutesBehind: number): string => {
  const minutes = Math.abs(minutesBehind);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${minutesBehind > 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}${two(minutes % 60)}`;
};

/** In the machine's zone. */
export const localMoment = (milliseconds: number): Moment => {
  const date = new Date(milliseconds);
  return {
    year: date.getFullYear(),
    month: date.getMonth(),
    day: date.getDate(),
    hour: date.getHours(),
    minute: date.getMinutes(),
    second: date.getSeconds(),
    zone: zoneText(date.getTimezoneOffset()),
  };
};

export const utcMoment = (milliseconds: number): Moment => {
  const date = new Date(milliseconds);
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth(),
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
    zone: '+0000',
  };
};

/** CLOCK_MONOTONIC, which the kernel stamps with, in nanoseconds -> milliseconds since 1970, as of now. */
export const monotonicToWall = (): ((monotonicNs: number) => number) => {
  const offsetMs = Date.now() - Number(process.hrtime.bigint()) / 1e6;
  return (monotonicNs) => offsetMs + monotonicNs / 1e6;
};
