// SPDX-License-Identifier: Apache-2.0
// Time stamps of flows: jiffies without their last bits, wrapping at 32 bits.
import { constants } from './layout.gen.js';

export interface Clock {
  /** Jiffies per second. */
  readonly hz: number;
}

const UNIT = 2 ** constants.STAMP_SHIFT;
const KERNEL_HZ = [100, 250, 300, 1000] as const;

/** Never less than one unit. */
export const secondsToStamps = (seconds: number, { hz }: Clock): number =>
  Math.max(1, Math.ceil((seconds * hz) / UNIT));

export const stampsToSeconds = (stamps: number, { hz }: Clock): number => (stamps * UNIT) / hz;

export const stampOf = (jiffies: bigint): number =>
  Number((jiffies >> BigInt(constants.STAMP_SHIFT)) & 0xffffffffn);

/** Stamp units from `then` to `now`, across the wrap; negative if `then` is later. */
export const stampsBetween = (then: number, now: number): number => (now - then) | 0;

/** The HZ that a kernel can be built with which is nearest to what was measured. */
export const snapHz = (jiffies: bigint, nanoseconds: bigint): number => {
  const measured = (Number(jiffies) * 1e9) / Number(nanoseconds);
  return KERNEL_HZ.reduce((best, hz) =>
    Math.abs(Math.log(hz / measured)) < Math.abs(Math.log(best / measured)) ? hz : best,
  );
};
