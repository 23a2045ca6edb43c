// SPDX-License-Identifier: Apache-2.0
// What the datapath's maps say, in an operator's words: each service with the members behind it. Reads records by the
// generated layout alone and knows nothing of how they are planned.
import { constants, enums, structs } from '../../agent/core/plan/layout.gen.js';
import { unpack } from '../../agent/core/plan/encode.js';

/** A map's records: packed key, in hex -> packed value. */
export type Records = ReadonlyMap<string, Uint8Array>;

export interface DatapathRecords {
  readonly services: Records;
  readonly listeners: Records;
  readonly pools: Records;
  readonly members: Records;
  /** By pool number: head {count, algorithm}, then {member, weight} per slot. */
  readonly slots: ReadonlyMap<number, Uint32Array>;
}

export interface PoolView {
  readonly algorithm: string;
  /** Leading bits of the source that persistence goes by, or null without it. */
  readonly persistBits: number | null;
  /** By `address port`: slots under round robin, weight under least connections, 1 under source hash. */
  readonly shares: Readonly<Record<string, number>>;
  /** Connections that one member takes; 0 for no limit. */
  readonly memberLimit: number;
}

export interface ServiceView {
  readonly connectionLimit: number;
  readonly isLive: boolean;
  readonly pool: PoolView | null;
}

/** By `protocol address port`, for example `TCP 10.0.0.10 80`. */
export type DatapathView = Readonly<Record<string, ServiceView>>;

const PROTOCOLS: Readonly<Record<number, string>> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' };

/** Throws where a record names another that is not there. */
export const viewDatapath = (records: DatapathRecords): DatapathView =>
  Object.fromEntries(
    [...records.services].map(([key, value]): [string, ServiceView] => {
      const { vip, port, protocol } = unpack(structs.service_key, Buffer.from(key, 'hex'));
      const { listener } = unpack(structs.service, value);
      const family = isMapped(vip) ? 4 : 6;
      return [
        `${PROTOCOLS[protocol] ?? protocol} ${textOf(vip)} ${port}`,
        viewListener(listener, family, records),
      ];
    }),
  );

/** Numbers that services lead to; records beside them are of what is gone. */
export const usedNumbers = (
  records: DatapathRecords,
): { listeners: Set<number>; pools: Set<number> } => {
  const listeners = [...records.services.values()].map(
    (value) => unpack(structs.service, value).listener,
  );
  const pools = listeners.map(
    (number) => unpack(structs.listener, need(records, 'listeners', number)).pool,
  );
  return {
    listeners: new Set(listeners),
    pools: new Set(pools.filter((pool) => pool !== constants.NO_POOL)),
  };
};

const viewListener = (number: number, family: 4 | 6, records: DatapathRecords): ServiceView => {
  const { flags, pool, connection_limit } = unpack(
    structs.listener,
    need(records, 'listeners', number),
  );
  return {
    connectionLimit: connection_limit,
    isLive: (flags & enums.listener_flag.LISTENER_LIVE) !== 0,
    pool: pool === constants.NO_POOL ? null : viewPool(pool, family, records),
  };
};

const viewPool = (number: number, family: 4 | 6, records: DatapathRecords): PoolView => {
  const words = records.slots.get(number);
  if (words === undefined) throw new Error(`pool ${number} has no slots`);
  const [count = 0, algorithm = 0] = words;
  const shares: Record<string, number> = {};
  const limits = new Set<number>();
  for (let slot = 1; slot <= count; slot++) {
    const member = words[2 * slot] ?? 0;
    const weight = words[2 * slot + 1] ?? 0;
    const record = unpack(structs.member, need(records, 'members', member));
    if ((record.flags & enums.member_flag.MEMBER_PRESENT) === 0) {
      throw new Error(`pool ${number} leads to member ${member}, which is gone`);
    }
    limits.add(record.connection_limit);
    const name = `${textOf(record.address)} ${record.port}`;
    shares[name] = shareOf(algorithm, weight, shares[name] ?? 0);
  }
  const pool = records.pools.get(indexKey(number));
  return {
    algorithm: nameOf(algorithm),
    persistBits: pool === undefined ? null : persistBits(pool, family),
    shares,
    memberLimit: Math.max(0, ...limits),
  };
};

const shareOf = (algorithm: number, weight: number, before: number): number => {
  switch (algorithm) {
    case enums.algorithm.ALGORITHM_ROUND_ROBIN:
      return before + 1;
    case enums.algorithm.ALGORITHM_LEAST_CONNECTIONS:
      return weight;
    default:
      return 1;
  }
};

const nameOf = (algorithm: number): string =>
  Object.entries(enums.algorithm).find(([, value]) => value === algorithm)?.[0] ?? `${algorithm}`;

const persistBits = (pool: Uint8Array, family: 4 | 6): number | null => {
  const record = unpack(structs.pool, pool);
  if ((record.flags & enums.pool_flag.POOL_PERSIST) === 0) return null;
  return family === 4 ? record.persist_prefix4 : record.persist_prefix6;
};

const indexKey = (index: number): string => {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(index);
  return key.toString('hex');
};

const need = (
  records: DatapathRecords,
  map: 'listeners' | 'members',
  number: number,
): Uint8Array => {
  const value = records[map].get(indexKey(number));
  if (value === undefined) throw new Error(`no entry ${number} in ${map}`);
  return value;
};

const isMapped = (address: Uint8Array): boolean =>
  Buffer.from(address.subarray(0, 12)).toString('hex') === '00000000000000000000ffff';

/** Dotted quad, or the short form of IPv6. */
const textOf = (address: Uint8Array): string => {
  if (isMapped(address)) return [...address.subarray(12)].join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    Buffer.from(address)
      .readUInt16BE(2 * i)
      .toString(16),
  );
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
};
