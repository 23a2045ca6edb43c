// SPDX-License-Identifier: Apache-2.0
// Which number of the maps stands for which listener, pool and member. Values only; the shell stores them.
import type { LogTarget } from '../log/log-target.js';
import type { IdleSide } from '../log/termination.js';
import { idleMsOf, type Part, type PartMember, type PartPool } from './parts.js';

interface Numbered {
  readonly number: number;
  /** False: no longer configured, but flows may still name the number (quarantine). */
  readonly live: boolean;
}
export interface NumberedListener extends Numbered {
  readonly listenerId: string;
  readonly protocol: string;
  readonly idleMs: number;
  /** Where its flows are addressed to. */
  readonly vips: readonly string[];
  /** How its flows are logged, also those that end after it has gone; absent: not at all. */
  readonly log?: ListenerLog;
}
export interface ListenerLog {
  readonly format: string;
  readonly targets: readonly LogTarget[];
  readonly idleSide: IdleSide;
}
export type NumberedPool = Numbered;
export interface NumberedMember extends Numbered {
  readonly listenerId: string;
  readonly poolId: string;
  readonly memberId: string;
  readonly address: string;
  readonly port: number;
  /** Numbers, kept while the member's own number is. */
  readonly listener: number;
  readonly pool: number;
}

/** By the keys of parts.ts. JSON-serialisable. */
export interface Numbers {
  readonly listeners: Readonly<Record<string, NumberedListener>>;
  readonly pools: Readonly<Record<string, NumberedPool>>;
  readonly members: Readonly<Record<string, NumberedMember>>;
}
export interface NumberLimits {
  readonly listeners: number;
  readonly pools: number;
  readonly members: number;
}

export const NO_NUMBERS: Numbers = { listeners: {}, pools: {}, members: {} };

/** More objects are configured than a table has room for. */
export class TableFullError extends Error {
  constructor(
    readonly table: string,
    readonly limit: number,
  ) {
    super(`the table of ${table} holds ${limit} and is full; raise its size in the configuration`);
  }
}

/**
 * Keeps the numbers of `previous` for keys that are there again, marks the others as gone and hands the lowest free
 * numbers to new keys. A number that is gone is not free. Throws TableFullError.
 */
const renumber = <Item extends Numbered, Wanted>(
  table: { name: string; limit: number; previous: Readonly<Record<string, Item>> },
  wanted: ReadonlyMap<string, Wanted>,
  make: (item: Wanted, number: number) => Item,
): Record<string, Item> => {
  const result: Record<string, Item> = {};
  const used = new Set<number>();
  for (const [key, item] of Object.entries(table.previous)) {
    result[key] = { ...item, live: false };
    used.add(item.number);
  }
  let free = 0;
  for (const [key, item] of wanted) {
    const known = result[key];
    while (known === undefined && used.has(free)) free++;
    const number = known?.number ?? free;
    if (number >= table.limit) throw new TableFullError(table.name, table.limit);
    used.add(number);
    result[key] = make(item, number);
  }
  return result;
};

const numberOf = (table: Readonly<Record<string, Numbered>>, key: string): number => {
  const item = table[key];
  if (item === undefined) throw new Error(`no number for ${key}`);
  return item.number;
};

const logOf = ({
  logFormat,
  logTargets = [],
  timeouts,
}: Part['listener']): Pick<NumberedListener, 'log'> => {
  if (logFormat === null || logTargets.length === 0) return {};
  const idleSide = timeouts.clientMs <= timeouts.serverMs ? 'c' : 's';
  return { log: { format: logFormat, targets: logTargets, idleSide } };
};

/** Numbers for all parts, as few changes as possible from `previous`. Throws TableFullError. */
export const assignNumbers = (
  previous: Numbers,
  parts: readonly Part[],
  limits: NumberLimits,
): Numbers => {
  const pools = new Map<string, PartPool>();
  const members = new Map<string, { part: Part; pool: PartPool; member: PartMember }>();
  for (const part of parts) {
    if (part.pool === null) continue;
    pools.set(part.pool.key, part.pool);
    for (const member of part.pool.members)
      members.set(member.key, { part, pool: part.pool, member });
  }
  const table = <Item>(name: keyof Numbers, items: Readonly<Record<string, Item>>) => ({
    name,
    limit: limits[name],
    previous: items,
  });
  const listeners = renumber(
    table('listeners', previous.listeners),
    new Map(parts.map((part) => [part.key, part])),
    ({ listener, vips }, number): NumberedListener => ({
      number,
      live: true,
      listenerId: listener.id,
      protocol: listener.protocol,
      idleMs: idleMsOf(listener),
      vips: vips.map(({ address }) => address),
      ...logOf(listener),
    }),
  );
  const numberedPools = renumber(
    table('pools', previous.pools),
    pools,
    (_, number): NumberedPool => ({ number, live: true }),
  );
  return {
    listeners,
    pools: numberedPools,
    members: renumber(
      table('members', previous.members),
      members,
      ({ part, pool, member }, number): NumberedMember => ({
        number,
        live: true,
        listenerId: part.listener.id,
        poolId: pool.pool.id,
        memberId: member.member.id,
        address: member.address,
        port: member.port,
        listener: numberOf(listeners, part.key),
        pool: numberOf(numberedPools, pool.key),
      }),
    ),
  };
};

const keep = <Item>(
  table: Readonly<Record<string, Item>>,
  isKept: (item: Item) => boolean,
): Record<string, Item> =>
  Object.fromEntries(Object.entries(table).filter(([, item]) => isKept(item)));

/**
 * Frees those of `memberNumbers` that are gone (the sweep has seen that no flow names them), and then the gone
 * listeners and pools that no remaining member belongs to.
 */
export const releaseNumbers = (numbers: Numbers, memberNumbers: ReadonlySet<number>): Numbers => {
  const members = keep(numbers.members, (m) => m.live || !memberNumbers.has(m.number));
  const listeners = new Set(Object.values(members).map((m) => m.listener));
  const pools = new Set(Object.values(members).map((m) => m.pool));
  return {
    members,
    listeners: keep(numbers.listeners, (l) => l.live || listeners.has(l.number)),
    pools: keep(numbers.pools, (p) => p.live || pools.has(p.number)),
  };
};

/** Members in quarantine. */
export const goneMembers = (numbers: Numbers): readonly NumberedMember[] =>
  Object.values(numbers.members).filter((member) => !member.live);
