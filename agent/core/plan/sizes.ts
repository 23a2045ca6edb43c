// SPDX-License-Identifier: Apache-2.0
// How large the tables are, from the RAM of the machine.

/** max_entries by map name. Maps that have one entry or a size of their own in C are not named. */
export interface TableSizes {
  readonly services: number;
  readonly listeners: number;
  readonly pools: number;
  readonly members: number;
  readonly flows4: number;
  readonly flows6: number;
  readonly half4: number;
  readonly half6: number;
  readonly fragments: number;
  readonly persistence: number;
  readonly allowed: number;
  readonly interfaces: number;
  /** Bytes: a power of two and whole pages. */
  readonly events: number;
  /** The same, of the ends of flows that wait for their line in the log: 136 each. */
  readonly log_events: number;
  /** Lines of `cache4` and `cache6` per possible CPU; a power of two. */
  readonly cacheLines: number;
  /** Lines of `recent`; a power of two. */
  readonly recentLines: number;
}

/** What an operator may set. `flows` counts flows, each of which takes two entries. */
export type SizeOverrides = Partial<Omit<TableSizes, 'flows4' | 'flows6'>> & {
  readonly flows?: number;
};

const MIB = 1024 * 1024;
const ENTRIES_PER_FLOW = 2;
/** Bytes per entry: key, value, the kernel's element head and its bucket. */
const ENTRY4 = 144;
const ENTRY6 = 208;
/** What full flow tables take. Entries are allocated as flows come; only the buckets, a tenth, are there at once. */
const FLOW_SHARE_OF_RAM = 1 / 6;
const MOST_FLOWS = 1_000_000;
const FEWEST_FLOWS = 16_384;
const SMALL_MACHINE = 768 * MIB;
/**
 * From here on tables that the kernel allocates at once have their full size: what is in front of the flow tables, and
 * LRU lists, which cannot grow with the traffic.
 */
const LARGE_MACHINE = 3072 * MIB;

const flowsIn = (ramBytes: number): number => {
  const fit = (ramBytes * FLOW_SHARE_OF_RAM) / (ENTRIES_PER_FLOW * (ENTRY4 + ENTRY6));
  return Math.min(MOST_FLOWS, Math.max(FEWEST_FLOWS, Math.floor(fit)));
};

const powerOfTwo = (n: number): number => 2 ** Math.ceil(Math.log2(n));
const powerOfTwoPages = (bytes: number): number => powerOfTwo(Math.max(4096, bytes));

/**
 * Sizes for a machine with `ramBytes` of memory: 1 GiB holds about 250,000 flows of each family in a sixth
 * of its RAM, 4 GiB and more hold 1,000,000. Throws RangeError when an override is not a positive integer.
 */
export const tableSizes = (ramBytes: number, overrides: SizeOverrides = {}): TableSizes => {
  for (const [name, value] of Object.entries(overrides))
    if (!Number.isSafeInteger(value) || value < 1)
      throw new RangeError(`table size ${name} must be a positive integer, not ${value}`);
  const { flows = flowsIn(ramBytes), listeners = 4096, ...others } = overrides;
  /** One of three, by the machine. */
  const bySize = (small: number, medium: number, large: number): number =>
    ramBytes < SMALL_MACHINE ? small : ramBytes < LARGE_MACHINE ? medium : large;
  const sizes = {
    // A VIP of each family, and a pool for each listener.
    services: 2 * listeners,
    listeners,
    pools: listeners,
    members: 16_384,
    flows4: flows * ENTRIES_PER_FLOW,
    flows6: flows * ENTRIES_PER_FLOW,
    half4: bySize(16_384, 32_768, 65_536),
    half6: bySize(16_384, 32_768, 65_536),
    fragments: bySize(4096, 8192, 16_384),
    persistence: bySize(32_768, 65_536, 131_072),
    allowed: 65_536,
    interfaces: 256,
    events: MIB,
    log_events: bySize(MIB, 2 * MIB, 4 * MIB),
    cacheLines: bySize(2048, 32_768, 65_536),
    recentLines: bySize(8192, 65_536, 65_536),
    ...others,
  };
  return {
    ...sizes,
    events: powerOfTwoPages(sizes.events),
    log_events: powerOfTwoPages(sizes.log_events),
    cacheLines: powerOfTwo(sizes.cacheLines),
    recentLines: powerOfTwo(sizes.recentLines),
  };
};

/** Flows of each family that the tables hold. */
export const flowCapacity = (sizes: TableSizes): number => sizes.flows4 / ENTRIES_PER_FLOW;

/** About the bytes that the flow tables take. */
export const flowBytes = (sizes: TableSizes): number =>
  (sizes.flows4 + sizes.half4) * ENTRY4 + (sizes.flows6 + sizes.half6) * ENTRY6;
