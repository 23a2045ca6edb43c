// SPDX-License-Identifier: Apache-2.0
// The maps as a whole: halves that point at each other, ports that serve one flow, counts that agree with the tables.
import assert from 'node:assert/strict';
import { pack, unpack } from '../../../agent/core/plan/encode.js';
import { enums, structs } from '../../../agent/core/plan/layout.gen.js';
import { FIRST_NUMBER } from '../support/board-spec.js';
import type { Switchboard } from '../support/switchboard.js';
import { backwards, nameOf, type SeenFlow, type Way } from './flow-book.js';
import { LISTENERS } from './population.js';

const { FLOW_FROM_CLIENT, FLOW_OPEN, FLOW_CLOSED } = enums.flow_state;

interface Half {
  /** As its packets come in, and as they leave. */
  readonly arriving: Way;
  readonly leaving: Way;
  readonly state: number;
  readonly member: number;
}

const bytesOf = (address: string): Uint8Array => Buffer.from(address, 'hex');
const number = (address: string): number => Buffer.from(address, 'hex').readUInt32BE(0);

const keyOf = (family: 4 | 6, { protocol, source, sport, destination, dport }: Way): Uint8Array =>
  family === 4
    ? pack(structs.flow_key4, {
        ...{ saddr: number(source), daddr: number(destination) },
        ...{ sport, dport, protocol },
      })
    : pack(structs.flow_key6, {
        ...{ saddr: bytesOf(source), daddr: bytesOf(destination) },
        ...{ sport, dport, protocol },
      });

const quad = (address: number): string => address.toString(16).padStart(8, '0');
const hex = (address: Uint8Array): string => Buffer.from(address).toString('hex');

const halfOf = (family: 4 | 6, keyBytes: Uint8Array, valueBytes: Uint8Array): Half => {
  if (family === 4) {
    const [key, value] = [unpack(structs.flow_key4, keyBytes), unpack(structs.flow4, valueBytes)];
    return {
      arriving: { ...key, source: quad(key.saddr), destination: quad(key.daddr) },
      leaving: {
        protocol: key.protocol,
        ...{ source: quad(value.new_saddr), sport: value.new_sport },
        ...{ destination: quad(value.new_daddr), dport: value.new_dport },
      },
      ...{ state: value.state, member: value.member },
    };
  }
  const [key, value] = [unpack(structs.flow_key6, keyBytes), unpack(structs.flow6, valueBytes)];
  return {
    arriving: { ...key, source: hex(key.saddr), destination: hex(key.daddr) },
    leaving: {
      protocol: key.protocol,
      ...{ source: hex(value.new_saddr), sport: value.new_sport },
      ...{ destination: hex(value.new_daddr), dport: value.new_dport },
    },
    ...{ state: value.state, member: value.member },
  };
};

/** The client's packet has just been forwarded: whatever the member answers must find this client again. */
export const assertPair = (board: Switchboard, { family, client, member }: SeenFlow): void => {
  const key = keyOf(family, backwards(member));
  const value = board.map(`flows${family}`).lookup(key) ?? board.map(`half${family}`).lookup(key);
  assert.ok(value, 'no way back for what was forwarded');
  const { leaving } = halfOf(family, key, value);
  assert.equal(nameOf(leaving), nameOf(backwards(client)), 'the way back belongs to another flow');
};

/** Half-open flows of this client, as their members' halves tell. */
export const halfOpenOf = (board: Switchboard, family: 4 | 6, client: Way): SeenFlow[] =>
  halves(board, `half${family}`)
    .filter(({ leaving }) => nameOf(leaving) === nameOf(backwards(client)))
    .map(({ arriving }) => ({ family, client, member: backwards(arriving) }));

const halves = (board: Switchboard, table: `${'flows' | 'half'}${4 | 6}`): Half[] => {
  const family = table.endsWith('4') ? 4 : 6;
  const map = board.map(table);
  const { keys, values, count } = map.dump();
  const { keySize, valueSize } = map.info;
  return Array.from({ length: count }, (_, i) =>
    halfOf(
      family,
      keys.slice(i * keySize, (i + 1) * keySize),
      values.slice(i * valueSize, (i + 1) * valueSize),
    ),
  );
};

/** Keys of the established flows' client halves. */
export const clientKeys = (board: Switchboard, family: 4 | 6): Uint8Array[] =>
  halves(board, `flows${family}`)
    .filter(({ state }) => state & FLOW_FROM_CLIENT)
    .map(({ arriving }) => keyOf(family, arriving));

const assertPairs = (all: ReadonlyMap<string, Half>): void => {
  for (const [name, { leaving, state }] of all) {
    const twin = all.get(nameOf(backwards(leaving)));
    const isPair = twin !== undefined && nameOf(backwards(twin.leaving)) === name;
    if (state & FLOW_FROM_CLIENT) assert.ok(isPair, `${name}: its member's half is another's`);
    // a client that comes again leaves the old member half behind, as the quarantine of its port
    else assert.ok(isPair || state & FLOW_CLOSED, `${name}: no client speaks for it`);
  }
};

const assertCounts = (board: Switchboard, open: readonly Half[]): void => {
  let member = FIRST_NUMBER;
  LISTENERS.forEach(({ members }, i) => {
    const last = member + members.length;
    const ofListener = open.filter((half) => half.member >= member && half.member < last);
    const counted = board.counters('listener_state', structs.listener_state, FIRST_NUMBER + i).open;
    assert.equal(counted, ofListener.length, `open flows of listener ${FIRST_NUMBER + i}`);
    for (; member < last; member += 1)
      assert.equal(
        board.counters('member_state', structs.member_state, member).open,
        ofListener.filter((half) => half.member === member).length,
        `open flows of member ${member}`,
      );
  });
};

/** Throws where tables and counts disagree. Returns the number of open flows. */
export const auditFlows = (board: Switchboard): number => {
  const all = ([4, 6] as const).flatMap((family) => halves(board, `flows${family}`));
  assertPairs(new Map(all.map((half) => [nameOf(half.arriving), half])));
  const open = all.filter(({ state }) => state & FLOW_OPEN);
  for (const half of open)
    assert.ok(half.state & FLOW_FROM_CLIENT, 'a member half is counted as open');
  assertCounts(board, open);
  return open.length;
};
