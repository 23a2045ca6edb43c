// SPDX-License-Identifier: Apache-2.0
// Listeners -> parts: what one listener number and one pool number of the maps stand for.
import type { Endpoint, Listener, Member, Pool } from '../model/load-balancer.js';
import { type Family, familyOf } from './address-bytes.js';

export interface PartMember {
  /** `<pool>:<listener>/<family>/<member>@<address>:<port>`: another endpoint is another member to the maps. */
  readonly key: string;
  /** `<pool>:<listener>/<member>`, as monitors name it. */
  readonly monitorKey: string;
  readonly member: Member;
  readonly address: string;
  readonly port: number;
}

export interface PartPool {
  readonly key: string;
  readonly pool: Pool;
  readonly members: readonly PartMember[];
}

/**
 * A listener within one address family. LVS configs hold a group of servers per family and a client meets only
 * those of its own, so a listener with VIPs of both families has two pools and two numbers.
 */
export interface Part {
  readonly key: string;
  readonly listener: Listener;
  readonly family: Family;
  readonly vips: readonly Endpoint[];
  readonly pool: PartPool | null;
}

const partMembers = (listener: Listener, pool: Pool, family: Family): PartMember[] => {
  const found = new Map<string, PartMember>();
  for (const member of pool.members) {
    const { id, address, port } = member;
    if (address === null || port === null || familyOf(address) !== family) continue;
    const monitorKey = `${pool.id}:${listener.id}/${id}`;
    const key = `${pool.id}:${listener.id}/${family}/${id}@${address}:${port}`;
    found.set(key, { key, monitorKey, member, address, port });
  }
  return [...found.values()];
};

const partOf = (listener: Listener, family: Family): Part => {
  const pool = listener.pools.find(({ id }) => id === listener.defaultPool);
  return {
    key: `${listener.id}/${family}`,
    listener,
    family,
    vips: listener.vips.filter(({ address }) => familyOf(address) === family),
    pool:
      pool === undefined
        ? null
        : {
            key: `${pool.id}:${listener.id}/${family}`,
            pool,
            members: partMembers(listener, pool, family),
          },
  };
};

export const partsOf = (listeners: readonly Listener[]): readonly Part[] =>
  listeners.flatMap((listener) =>
    ([4, 6] as const)
      .map((family) => partOf(listener, family))
      .filter(({ vips }) => vips.length > 0),
  );

/** Idle time after which a flow of this listener may be swept, ms. UDP and SCTP as IPVS: contract 4.5.3. */
export const idleMsOf = ({ protocol, timeouts }: Listener): number =>
  protocol === 'UDP' || protocol === 'SCTP'
    ? 300_000
    : Math.min(timeouts.clientMs, timeouts.serverMs);
