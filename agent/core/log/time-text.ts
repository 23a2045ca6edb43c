// SPDX-License-Identifier: Apache-2.0
// Points in time as log lines write them.
import type { Moment } from './logged-flow.js';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

const two = (value: number): string => String(value).padStart(2, '0');
const month = (moment: Moment): string => MONTHS[moment.month] ?? '';
const clock = ({ hour, minute, second }: Moment): string =>
  `${two(hour)}:${two(minute)}:${two(second)}`;
const day = (moment: Moment): string => `${two(moment.day)}/${month(moment)}/${moment.year}`;

/** `20/Nov/2026:15:24:07.730`; `milliseconds` since 1970, for the last three digits. */
export const momentText = (moment: Moment, milliseconds: number): string =>
  `${day(moment)}:${clock(moment)}.${String(Math.floor(milliseconds) % 1000).padStart(3, '0')}`;

/** `20/Nov/2026:15:24:07 +0100`. */
export const dateText = (moment: Moment): string =>
  `${day(moment)}:${clock(moment)} ${moment.zone}`;

/** `Nov  2 15:24:07`, as RFC 3164 has it. */
export const stampText = (moment: Moment): string =>
  `${month(moment)} ${String(moment.day).padStart(2, ' ')} ${clock(moment)}`;
