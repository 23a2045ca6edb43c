// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import {
  asCurrent,
  type CurrentTables,
  diffTables,
  EMPTY_TABLES,
  type MapChange,
  presentEntries,
} from '../../agent/core/plan/diff.js';
import { assignNumbers, NO_NUMBERS, releaseNumbers } from '../../agent/core/plan/numbers.js';
import { partsOf } from '../../agent/core/plan/parts.js';
import { buildTables, type Tables } from '../../agent/core/plan/tables.js';
import type { WantedState } from '../../agent/core/model/dataplane.js';
import { at, listener, member, networkInterface, pool, wantedState } from './plan-fixtures.js';

const limits = { listeners: 64, pools: 64, members: 64 };
const a = member('a', '192.0.2.1');
const b = member('b', '192.0.2.2');
const interfaces = [networkInterface(3, ['203.0.113.5/24'])];
const persistence = { type: 'SOURCE_IP' } as const;
const allowed = [{ protocol: 'TCP', port: 80, cidr: '10.0.0.0/8' }] as const;
const full = wantedState([listener('web', [pool([a, b], { persistence })])], {
  interfaces,
  allowed,
});

/** The tables of a history of states, as one agent numbers them. */
const history = (...states: WantedState[]): Tables[] => {
  let numbers = NO_NUMBERS;
  return states.map((wanted) => {
    numbers = assignNumbers(numbers, partsOf(wanted.listeners), limits);
    return buildTables(wanted, numbers, { clock: { hz: 250 }, snatSource: 'vip' });
  });
};

const name = (change: MapChange): string => {
  switch (change.kind) {
    case 'update':
      return `+${change.map} ${change.entries.size}`;
    case 'delete':
      return `-${change.map} ${change.keys.length}`;
    case 'swap':
      return `swap ${change.slots.size}`;
    case 'empty':
      return `empty ${change.pools.length}`;
    case 'bitmap':
    case 'generation':
      return change.kind;
  }
};
const names = (current: CurrentTables, wanted: Tables | undefined): string[] =>
  wanted === undefined ? [] : diffTables(current, wanted).map(name);
const step = (...states: WantedState[]): string[] => {
  const tables = history(...states);
  const [before, after] = tables.slice(-2);
  return before === undefined ? [] : names(asCurrent(before), after);
};

t.test('what is used is written before its users', (t) => {
  t.strictSame(names(EMPTY_TABLES, history(full)[0]), [
    '+members 2',
    'generation',
    'swap 1',
    '+pools 1',
    '+allowed 1',
    '+listeners 1',
    '+interfaces 1',
    'generation',
    'bitmap',
    '+services 1',
  ]);
  t.end();
});

t.test('and removed after them; members stay, without flags, for their flows', (t) => {
  t.strictSame(step(full, wantedState([])), [
    '+members 2',
    '-interfaces 1',
    'generation',
    '-services 1',
    'bitmap',
    '+listeners 1',
    '-allowed 1',
    '+pools 1',
    'empty 1',
  ]);
  t.end();
});

t.test('a released member is wiped, and with it the VIP of a listener that is gone', (t) => {
  const numbers = assignNumbers(NO_NUMBERS, partsOf(full.listeners), limits);
  const none = releaseNumbers(assignNumbers(numbers, [], limits), new Set([0, 1]));
  const options = { clock: { hz: 250 }, snatSource: 'vip' } as const;
  const gone = buildTables(wantedState([]), assignNumbers(numbers, [], limits), options);
  const wiped = diffTables(asCurrent(gone), buildTables(wantedState([]), none, options));
  t.strictSame(wiped.map(name), ['bitmap', '+members 2']);
  const [bits, members] = wiped;
  t.ok(bits?.kind === 'bitmap' && bits.bytes.every((byte) => byte === 0));
  t.ok(
    members?.kind === 'update' &&
      [...members.entries.values()].every((value) => value.every((byte) => byte === 0)),
  );
  t.end();
});

t.test('nothing changed, nothing written', (t) => {
  t.strictSame(step(full, full), []);
  t.end();
});

t.test('a new member comes before the slots that name it', (t) => {
  const one = wantedState([listener('web', [pool([a])])]);
  const two = wantedState([listener('web', [pool([a, b])])]);
  t.strictSame(step(one, two), ['+members 1', 'generation', 'swap 1']);
  t.end();
});

t.test('a member that goes down leaves the slots before it loses its flags', (t) => {
  const up = wantedState([listener('web', [pool([a, b])])]);
  const down = { ...up, down: new Set(['pool-1:web/a']) };
  t.strictSame(step(up, down), ['swap 1', '+members 1']);
  t.strictSame(step(up, down, up), ['+members 1', 'swap 1'], 'and gets them back first');
  t.end();
});

t.test('a VIP that moves has both bits set in between', (t) => {
  const moved = wantedState([listener('web', [pool([a])], { vips: [at('203.0.113.77', 80)] })]);
  const changes = step(wantedState([listener('web', [pool([a])])]), moved);
  t.strictSame(changes, ['bitmap', '+services 1', '-services 1', 'bitmap']);
  t.end();
});

t.test('what an array holds as zeros is absent', (t) => {
  const zeros = new Map([
    ['00', new Uint8Array(4)],
    ['01', Uint8Array.of(0, 1)],
  ]);
  t.strictSame([...presentEntries('members', zeros).keys()], ['01']);
  t.equal(presentEntries('services', zeros).size, 2);
  t.end();
});
