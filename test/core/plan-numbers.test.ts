// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import {
  assignNumbers,
  goneMembers,
  NO_NUMBERS,
  type Numbers,
  releaseNumbers,
  TableFullError,
} from '../../agent/core/plan/numbers.js';
import { partsOf } from '../../agent/core/plan/parts.js';
import { newState, parseState, recoverNumbers, stateText } from '../../agent/core/plan/state.js';
import { buildTables } from '../../agent/core/plan/tables.js';
import type { Listener } from '../../agent/core/model/load-balancer.js';
import { at, ip, listener, member, pool, wantedState } from './plan-fixtures.js';

const limits = { listeners: 10, pools: 10, members: 10 };
const assign = (previous: Numbers, ...listeners: Listener[]): Numbers =>
  assignNumbers(previous, partsOf(listeners), limits);
const memberNumbers = (numbers: Numbers): Record<string, number> =>
  Object.fromEntries(
    Object.values(numbers.members).map((m) => [`${m.memberId}${m.live ? '' : ' gone'}`, m.number]),
  );

const a = member('a', '192.0.2.1');
const b = member('b', '192.0.2.2');
const c = member('c', '192.0.2.3');
const web = (...members: (typeof a)[]): Listener => listener('web', [pool(members)]);

t.test('numbers stay when others come and go', (t) => {
  const first = assign(NO_NUMBERS, web(a, b));
  t.strictSame(memberNumbers(first), { a: 0, b: 1 });
  t.strictSame(memberNumbers(assign(first, web(c, b))), { 'a gone': 0, b: 1, c: 2 });
  t.end();
});

t.test('the number of a member that left is free only after its release', (t) => {
  const left = assign(assign(NO_NUMBERS, web(a, b)), web(b));
  t.strictSame(memberNumbers(assign(left, web(b, c))), { 'a gone': 0, b: 1, c: 2 });
  t.strictSame(
    goneMembers(left).map(({ memberId }) => memberId),
    ['a'],
  );
  const released = releaseNumbers(left, new Set([0, 1]));
  t.strictSame(memberNumbers(released), { b: 1 }, 'a live one is not released');
  t.strictSame(memberNumbers(assign(released, web(b, c))), { b: 1, c: 0 });
  t.end();
});

t.test('a member that returns during its quarantine has its number again', (t) => {
  const left = assign(assign(NO_NUMBERS, web(a, b)), web(b));
  t.strictSame(memberNumbers(assign(left, web(a, b))), { a: 0, b: 1 });
  t.end();
});

t.test('another address or port is another number', (t) => {
  const first = assign(NO_NUMBERS, web(a));
  const moved = assign(first, web({ ...a, address: ip('192.0.2.9') }));
  t.strictSame(memberNumbers(moved), { 'a gone': 0, a: 1 });
  const other = assign(first, web({ ...a, port: 81 }));
  t.strictSame(memberNumbers(other), { 'a gone': 0, a: 1 });
  t.end();
});

t.test('a listener keeps its number while members in quarantine name it', (t) => {
  const first = assign(NO_NUMBERS, web(a), listener('dns', [pool([b])]));
  const left = assign(first, listener('dns', [pool([b])]));
  t.match(left.listeners['web/4'], { number: 0, live: false });
  t.match(releaseNumbers(left, new Set()).listeners['web/4'], { number: 0 });
  const freed = releaseNumbers(left, new Set([0]));
  t.notOk('web/4' in freed.listeners);
  t.notOk('pool-1:web/4' in freed.pools);
  t.match(assign(freed, listener('new', [])).listeners['new/4'], { number: 0 });
  t.end();
});

t.test('a listener of both families has two numbers and its members are parted', (t) => {
  const vips = [at('203.0.113.10', 53), at('2001:db8::10', 53)];
  const both = listener('dns', [pool([a, member('d', '2001:db8::1')])], { vips });
  const numbers = assign(NO_NUMBERS, both);
  t.match(numbers.listeners, { 'dns/4': { number: 0 }, 'dns/6': { number: 1 } });
  const bySix = Object.values(numbers.members).find((m) => m.memberId === 'd');
  t.match(bySix, { listener: 1, pool: 1 });
  t.end();
});

t.test('members that are only named, or of the other family, get no number', (t) => {
  const named = member('n', '192.0.2.7', { address: null, port: null });
  t.strictSame(memberNumbers(assign(NO_NUMBERS, web(named, member('x', '2001:db8::1'), a))), {
    a: 0,
  });
  t.end();
});

t.test('timeouts: TCP the shorter side, UDP as IPVS', (t) => {
  const numbers = assign(NO_NUMBERS, web(a), listener('dns', [], { protocol: 'UDP' }));
  t.match(numbers.listeners, { 'web/4': { idleMs: 50_000 }, 'dns/4': { idleMs: 300_000 } });
  t.end();
});

t.test('a full table is an error that names it', (t) => {
  const many = Array.from({ length: 11 }, (_, i) => member(`m${i}`, `192.0.2.${i + 1}`));
  t.throws(() => assign(NO_NUMBERS, web(...many)), new TableFullError('members', 10));
  t.throws(() => assign(NO_NUMBERS, web(...many)), /table of members holds 10 and is full/);
  t.end();
});

t.test('state survives its text, and only for the same life of the maps', (t) => {
  const state = { ...newState('boot/7'), numbers: assign(NO_NUMBERS, web(a, b)) };
  t.strictSame(parseState(stateText(state), 'boot/7'), { format: 1, ...state });
  t.equal(parseState(stateText(state), 'boot/8'), null);
  t.equal(parseState('', 'boot/7'), null);
  t.equal(parseState('{"format":1,"life":"boot/7"}', 'boot/7'), null);
  t.end();
});

t.test('numbers recovered from maps alone are all in quarantine', (t) => {
  const numbers = assign(NO_NUMBERS, web(a, b));
  const options = { clock: { hz: 250 }, snatSource: 'vip' } as const;
  const { members } = buildTables(wantedState([web(a, b)]), numbers, options);
  const recovered = recoverNumbers(members);
  t.match(Object.values(recovered.members), [
    { number: 0, live: false, address: '192.0.2.1', port: 80, listener: 0, pool: 0 },
    { number: 1, live: false },
  ]);
  t.strictSame(
    memberNumbers(assign(recovered, web(c))),
    { ' gone': 1, c: 2 },
    'both keep their numbers (they have no name)',
  );
  t.match(Object.values(recovered.listeners), [{ number: 0, live: false }]);
  t.match(Object.values(recovered.pools), [{ number: 0, live: false }]);
  t.end();
});
