// SPDX-License-Identifier: Apache-2.0
// Flows that end at once with their member, as IPVS ends them (contract 4.5.3): UDP and SCTP.
import { concatRecords } from '../core/plan/encode.js';
import { keysOfMembers } from '../core/plan/scan.js';
import type { DataplaneMaps } from './dataplane-maps.js';
import { reapFlows } from './dataplane-reap.js';
import { shapeOf, slicesOf } from './dataplane-slices.js';

const PROTOCOLS = [17, 132];

/** Ends all UDP and SCTP flows of these member numbers. Returns how many were established. */
export const evictFlows = async (
  maps: DataplaneMaps,
  members: ReadonlySet<number>,
): Promise<number> => {
  if (members.size === 0) return 0;
  let evicted = 0;
  // Half-open first: what is promoted meanwhile is met in the second table.
  for (const table of ['half4', 'half6'] as const)
    for await (const slice of slicesOf(maps, table)) {
      const { client, member } = keysOfMembers(shapeOf(table), slice, members, PROTOCOLS);
      maps.map(table).deleteBatch(concatRecords([...client, ...member]));
    }
  for (const table of ['flows4', 'flows6'] as const)
    for await (const slice of slicesOf(maps, table)) {
      const { family } = shapeOf(table);
      const { client } = keysOfMembers(shapeOf(table), slice, members, PROTOCOLS);
      evicted += reapFlows(maps, { family, keys: client, idleBefore: null });
    }
  return evicted;
};
