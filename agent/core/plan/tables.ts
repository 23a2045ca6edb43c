// SPDX-License-Identifier: Apache-2.0
// What is wanted -> what every map of the agent should hold.
import type { DatapathInterface, WantedState } from '../model/dataplane.js';
import { allowedKeys } from './access.js';
import { addressBytes } from './address-bytes.js';
import { type Clock, secondsToStamps } from './clock.js';
import { pack, packIndex } from './encode.js';
import { constants, enums, structs } from './layout.gen.js';
import { localBitmap, snatAddress, vipInterface } from './network.js';
import type { NumberedListener, NumberedMember, Numbers } from './numbers.js';
import { type Part, type PartMember, type PartPool, partsOf } from './parts.js';
import { poolRecord } from './persistence.js';
import { type PoolPlan, poolSlots } from './slots.js';

/** Packed key, in hex -> packed value. */
export type Table = ReadonlyMap<string, Uint8Array>;
export const FLAT_TABLES = [
  'members',
  'pools',
  'listeners',
  'allowed',
  'interfaces',
  'services',
] as const;
export type FlatTable = (typeof FLAT_TABLES)[number];

export interface Tables extends Readonly<Record<FlatTable, Table>> {
  /** Words of the inner map by pool number. */
  readonly slots: ReadonlyMap<number, Uint32Array>;
  readonly bitmap: Uint8Array;
}

export interface TableOptions {
  readonly clock: Clock;
  /** Source of packets that leave by the VIP's own interface: the VIP, or the interface's address. */
  readonly snatSource: 'vip' | 'interface';
  /** How slots are computed; a memo saves the work for pools that did not change. */
  readonly slots?: (plan: PoolPlan) => Uint32Array;
}

/** Zeros stand for an absent entry of an array, so an entry that is all zeros need not be told. */
export const nonZero = (entries: Table): Table =>
  new Map([...entries].filter(([, value]) => value.some((byte) => byte !== 0)));

export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const indexKey = (index: number): string => hexOf(packIndex(index));

const IPPROTO = { TCP: 6, UDP: 17, SCTP: 132 } as const;
/** HTTP listeners are never wanted here; were one, it would still be TCP. */
export const protocolNumber = (protocol: Part['listener']['protocol']): number =>
  protocol === 'UDP' || protocol === 'SCTP' ? IPPROTO[protocol] : IPPROTO.TCP;

const isHealthy = (member: PartMember, down: ReadonlySet<string>): boolean =>
  member.member.enabled && !down.has(member.monitorKey);

const memberFlags = (part: Part, member: PartMember, down: ReadonlySet<string>): number => {
  // IPVS forgets the clients of a quiescent server (contract 4.5.3), HAProxy sends them on while they come.
  const persists =
    isHealthy(member, down) && (part.listener.origin === 'haproxy' || member.member.weight > 0);
  return enums.member_flag.MEMBER_PRESENT | (persists ? enums.member_flag.MEMBER_PERSIST : 0);
};

const memberRecord = (
  { address, port, listener, pool }: NumberedMember,
  flags: number,
  connectionLimit: number,
): Uint8Array =>
  pack(structs.member, {
    address: addressBytes(address),
    port,
    flags,
    connection_limit: connectionLimit,
    listener,
    pool,
  });

const memberTable = (
  parts: readonly Part[],
  numbers: Numbers,
  down: ReadonlySet<string>,
): Table => {
  const table = new Map<string, Uint8Array>();
  // Members that are gone keep their record without flags while flows name them.
  for (const gone of Object.values(numbers.members))
    if (!gone.live) table.set(indexKey(gone.number), memberRecord(gone, 0, 0));
  for (const part of parts)
    for (const member of part.pool?.members ?? []) {
      const numbered = numbers.members[member.key];
      if (numbered === undefined) continue;
      const limit = part.pool?.pool.memberConnectionLimit ?? 0;
      const record = memberRecord(numbered, memberFlags(part, member, down), limit);
      table.set(indexKey(numbered.number), record);
    }
  return table;
};

const logFlag = (numbered: NumberedListener | undefined): number =>
  numbered?.log === undefined ? 0 : enums.listener_flag.LISTENER_LOG;

const listenerFlags = (part: Part, wanted: WantedState): number =>
  (part.listener.enabled ? enums.listener_flag.LISTENER_LIVE : 0) |
  (part.listener.origin === 'lvs' ? enums.listener_flag.LISTENER_COUNT_PACKETS : 0) |
  (part.listener.protocol === 'UDP' ? enums.listener_flag.LISTENER_KEEP_PORT : 0) |
  (wanted.allowed === null ? 0 : enums.listener_flag.LISTENER_ACL);

/** All zeros for a listener without a log. */
const goneRecord = (gone: NumberedListener): Uint8Array => {
  const flags = logFlag(gone);
  return pack(structs.listener, flags === 0 ? {} : { flags, pool: constants.NO_POOL });
};

const poolPlan = (
  part: Part,
  { pool, members }: PartPool,
  numbers: Numbers,
  down: ReadonlySet<string>,
): PoolPlan => ({
  algorithm: pool.algorithm,
  weighted: part.listener.origin === 'haproxy',
  members: members.map((member) => ({
    number: numbers.members[member.key]?.number ?? 0,
    identity: `${member.address}:${member.port}`,
    weight: member.member.weight,
    backup: member.member.backup,
    healthy: isHealthy(member, down),
  })),
});

const interfaceTable = (
  interfaces: readonly DatapathInterface[],
  vips: ReadonlySet<string>,
): { table: Table; addresses: string[] } => {
  const table = new Map<string, Uint8Array>();
  const addresses: string[] = [];
  for (const { ifindex, mtu, ...rest } of interfaces) {
    const sources = ([4, 6] as const).map((family) =>
      snatAddress({ ifindex, mtu, ...rest }, family, vips),
    );
    addresses.push(...sources.filter((source) => source !== null));
    const [snat4, snat6] = sources.map((source) =>
      source === null ? new Uint8Array(16) : addressBytes(source),
    );
    const record = { mtu, ...(snat4 && { snat4 }), ...(snat6 && { snat6 }) };
    table.set(indexKey(ifindex), pack(structs.interface, record));
  }
  return { table, addresses };
};

const serviceEntries = (
  part: Part,
  listener: number,
  wanted: WantedState,
  { snatSource }: TableOptions,
): [string, Uint8Array][] =>
  // A disabled listener is not bound: the kernel answers as it would for HAProxy.
  !part.listener.enabled
    ? []
    : part.vips.map(({ address, port }) => {
        const protocol = protocolNumber(part.listener.protocol);
        const key = pack(structs.service_key, { vip: addressBytes(address), port, protocol });
        const vip_ifindex = snatSource === 'vip' ? vipInterface(address, wanted.interfaces) : 0;
        return [hexOf(key), pack(structs.service, { listener, vip_ifindex })];
      });

const servedVips = (numbers: Numbers): string[] =>
  Object.values(numbers.listeners).flatMap(({ vips }) => vips);

/** All tables for `wanted`. `numbers` must have been assigned for its listeners. */
export const buildTables = (
  wanted: WantedState,
  numbers: Numbers,
  options: TableOptions,
): Tables => {
  const parts = partsOf(wanted.listeners);
  const slotsOf = options.slots ?? poolSlots;
  const vips = new Set<string>(parts.flatMap((part) => part.vips.map(({ address }) => address)));
  const { table: interfaces, addresses } = interfaceTable(wanted.interfaces, vips);
  const pools = new Map<string, Uint8Array>();
  const slots = new Map<number, Uint32Array>();
  const listeners = new Map<string, Uint8Array>();
  const allowed = new Map<string, Uint8Array>();
  const services = new Map<string, Uint8Array>();
  // Flows of a listener that is gone are still logged when they end.
  for (const gone of Object.values(numbers.listeners))
    if (!gone.live) listeners.set(indexKey(gone.number), goneRecord(gone));
  for (const part of parts) {
    const listener = numbers.listeners[part.key]?.number ?? 0;
    const pool = part.pool && (numbers.pools[part.pool.key]?.number ?? constants.NO_POOL);
    if (part.pool !== null && pool !== null) {
      pools.set(indexKey(pool), pack(structs.pool, poolRecord(part.pool.pool, options.clock)));
      slots.set(pool, slotsOf(poolPlan(part, part.pool, numbers, wanted.down)));
    }
    listeners.set(
      indexKey(listener),
      pack(structs.listener, {
        flags: listenerFlags(part, wanted) | logFlag(numbers.listeners[part.key]),
        pool: pool ?? constants.NO_POOL,
        connection_limit: part.listener.connectionLimit ?? 0,
        connect_stamps: secondsToStamps(part.listener.timeouts.connectMs / 1000, options.clock),
      }),
    );
    for (const key of allowedKeys(part, listener, wanted.allowed ?? []))
      allowed.set(hexOf(key), packIndex(1));
    for (const [key, value] of serviceEntries(part, listener, wanted, options))
      services.set(key, value);
  }
  return {
    members: memberTable(parts, numbers, wanted.down),
    pools: nonZero(pools),
    slots,
    listeners: nonZero(listeners),
    allowed,
    interfaces,
    services,
    // With the VIPs of listeners that are gone: their flows go on, as with a reload of HAProxy.
    bitmap: localBitmap([...servedVips(numbers), ...addresses]),
  };
};
