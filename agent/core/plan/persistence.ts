// SPDX-License-Identifier: Apache-2.0
// Source address persistence of a pool, as the maps hold it.
import type { Pool } from '../model/load-balancer.js';
import { type Clock, secondsToStamps } from './clock.js';
import { enums, type structs } from './layout.gen.js';
import type { StructValues } from './encode.js';

const bitsOfMask = (mask: string): number => {
  const bits = mask
    .split('.')
    .map((part) => Number(part).toString(2).padStart(8, '0'))
    .join('');
  const end = bits.indexOf('0');
  return end < 0 ? 32 : end;
};

/** `persistence_granularity`: an IPv4 mask or an IPv6 prefix length (contract 4.5.1); absent: the whole address. */
export const granularityPrefix = (
  granularity: string | undefined,
): { prefix4: number; prefix6: number } => {
  if (granularity === undefined) return { prefix4: 32, prefix6: 128 };
  if (granularity.includes('.')) return { prefix4: bitsOfMask(granularity), prefix6: 128 };
  const prefix = Number.parseInt(granularity.replace('/', ''), 10);
  return { prefix4: 32, prefix6: Number.isNaN(prefix) ? 128 : Math.min(128, prefix) };
};

/** Other kinds of persistence do nothing in tcp mode (contract 4.4). */
export const poolRecord = (
  { persistence }: Pool,
  clock: Clock,
): Partial<StructValues<typeof structs.pool>> => {
  if (persistence?.type !== 'SOURCE_IP') return {};
  const { prefix4, prefix6 } = granularityPrefix(persistence.granularity);
  return {
    flags: enums.pool_flag.POOL_PERSIST,
    persist_stamps:
      persistence.timeoutSeconds === undefined
        ? 0
        : secondsToStamps(persistence.timeoutSeconds, clock),
    persist_prefix4: prefix4,
    persist_prefix6: prefix6,
  };
};
