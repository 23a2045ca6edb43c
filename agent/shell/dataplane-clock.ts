// SPDX-License-Identifier: Apache-2.0
// The kernel's clock as flows are stamped with it.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, snapHz, stampOf } from '../core/plan/clock.js';
import { pack, unpack } from '../core/plan/encode.js';
import { structs } from '../core/plan/layout.gen.js';
import type { DataplaneMaps } from './dataplane-maps.js';

const MEASURE_MS = 60;

const read = (maps: DataplaneMaps): { jiffies: bigint; nanoseconds: bigint } => {
  const answer = maps.runSyscall('clock', pack(structs.clock_context, {}));
  const { jiffies, time_ns } = unpack(structs.clock_context, answer);
  return { jiffies, nanoseconds: time_ns };
};

export class DataplaneClock implements Clock {
  private constructor(
    readonly hz: number,
    readonly maps: DataplaneMaps,
  ) {}

  /** Measures HZ, which differs between kernels and is told nowhere else. */
  static async measure(maps: DataplaneMaps): Promise<DataplaneClock> {
    const first = read(maps);
    await sleep(MEASURE_MS);
    const second = read(maps);
    const hz = snapHz(second.jiffies - first.jiffies, second.nanoseconds - first.nanoseconds);
    return new DataplaneClock(hz, maps);
  }

  jiffies(): bigint {
    return read(this.maps).jiffies;
  }

  stamp(): number {
    return stampOf(this.jiffies());
  }
}
