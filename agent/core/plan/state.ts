// SPDX-License-Identifier: Apache-2.0
// What the dataplane must remember across restarts beside the pinned maps.
import { unpack } from './encode.js';
import { structs } from './layout.gen.js';
import { NO_NUMBERS, type NumberedMember, type Numbers } from './numbers.js';
import { addressText } from './address-bytes.js';
import type { Table } from './tables.js';

export interface InstalledSlots {
  /** Kernel id of the inner map. It is never edited, so id and digest together tell what it holds. */
  readonly id: number;
  readonly digest: string;
}

export interface DataplaneState {
  /** Boot and kernel id of the members map: everything below is about the maps of that one life. */
  readonly life: string;
  readonly numbers: Numbers;
  /** By pool number. */
  readonly slots: Readonly<Record<string, InstalledSlots>>;
  /** Raw counters of a number when it was last released, so that its next owner starts from zero. */
  readonly baselines: {
    readonly members: Readonly<Record<string, readonly number[]>>;
    readonly listeners: Readonly<Record<string, readonly number[]>>;
  };
  /** Counts of released numbers by listener id. */
  readonly retired: Readonly<
    Record<string, { readonly members: readonly number[]; readonly listeners: readonly number[] }>
  >;
}

export const newState = (life: string): DataplaneState => ({
  life,
  numbers: NO_NUMBERS,
  slots: {},
  baselines: { members: {}, listeners: {} },
  retired: {},
});

const FORMAT = 1;

export const stateText = (state: DataplaneState): string =>
  `${JSON.stringify({ format: FORMAT, ...state })}\n`;

/** Null when the text is not ours or tells of other maps. */
export const parseState = (text: string, life: string): DataplaneState | null => {
  try {
    const parsed = JSON.parse(text) as Partial<DataplaneState> & { format?: number };
    const whole =
      parsed.format === FORMAT && parsed.life === life && parsed.numbers && parsed.slots;
    return whole ? { ...newState(life), ...parsed } : null;
  } catch {
    return null;
  }
};

const keyNumber = (hex: string): number => Buffer.from(hex, 'hex').readUInt32LE(0);
/** Of flows whose listener nobody remembers. */
const UNKNOWN_IDLE_MS = 3_600_000;

/**
 * Numbers for maps whose state file is lost: every member found is in quarantine, so that its flows go on
 * and nobody else gets its number, and so are the listeners and pools that they name.
 */
export const recoverNumbers = (members: Table): Numbers => {
  const found = [...members].map(([key, bytes]): [string, NumberedMember] => {
    const { address, port, listener, pool } = unpack(structs.member, bytes);
    const number = keyNumber(key);
    const names = { listenerId: '', poolId: '', memberId: '' };
    const text = addressText(address);
    return [`?/${number}`, { number, live: false, ...names, address: text, port, listener, pool }];
  });
  const numbersOf = (pick: (m: NumberedMember) => number): number[] => [
    ...new Set(found.map(([, m]) => pick(m))),
  ];
  return {
    members: Object.fromEntries(found),
    listeners: Object.fromEntries(
      numbersOf((m) => m.listener).map((number) => [
        `?/${number}`,
        { number, live: false, listenerId: '', protocol: 'TCP', idleMs: UNKNOWN_IDLE_MS, vips: [] },
      ]),
    ),
    pools: Object.fromEntries(
      numbersOf((m) => m.pool).map((number) => [`?/${number}`, { number, live: false }]),
    ),
  };
};
