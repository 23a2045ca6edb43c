// SPDX-License-Identifier: Apache-2.0
// Packed flows: scanned for the sweep, described for people.
import t from 'tap';
import { addressBytes } from '../../agent/core/plan/address-bytes.js';
import { concatRecords, pack } from '../../agent/core/plan/encode.js';
import { describeEvent, describeFlow, flowNames } from '../../agent/core/plan/flow-record.js';
import { enums, structs } from '../../agent/core/plan/layout.gen.js';
import { assignNumbers, NO_NUMBERS } from '../../agent/core/plan/numbers.js';
import { partsOf } from '../../agent/core/plan/parts.js';
import {
  FLOW_SHAPES,
  keysOfMembers,
  newTally,
  scanFlows,
  twinKey,
} from '../../agent/core/plan/scan.js';
import { listener, member, pool } from './plan-fixtures.js';

const { FLOW_FROM_CLIENT, FLOW_OPEN, FLOW_CLOSED, FLOW_FIN } = enums.flow_state;
const v4 = (address: string): number => Buffer.from(addressBytes(address)).readUInt32BE(12);

const key4 = pack(structs.flow_key4, {
  ...{ saddr: v4('203.0.113.100'), daddr: v4('203.0.113.10'), sport: 4000, dport: 80, protocol: 6 },
});
const flow4 = (changes: Partial<Record<'stamp' | 'state' | 'member' | 'created', number>> = {}) =>
  pack(structs.flow4, {
    ...{
      new_saddr: v4('192.0.2.5'),
      new_daddr: v4('192.0.2.11'),
      new_sport: 10240,
      new_dport: 8080,
    },
    ...{ stamp: 100, state: FLOW_FROM_CLIENT | FLOW_OPEN, member: 0, bytes: 1234n, ...changes },
  });
const twinKey4 = pack(structs.flow_key4, {
  ...{ saddr: v4('192.0.2.11'), daddr: v4('192.0.2.5'), sport: 8080, dport: 10240, protocol: 6 },
});
const twin4 = pack(structs.flow4, {
  ...{ new_saddr: v4('203.0.113.10'), new_daddr: v4('203.0.113.100'), new_sport: 80 },
  ...{ new_dport: 4000, stamp: 120, bytes: 99n },
});

const address = (text: string): Uint8Array => addressBytes(text);
const key6 = pack(structs.flow_key6, {
  ...{ saddr: address('2001:db8:c::1'), daddr: address('2001:db8::10'), sport: 4000, dport: 53 },
  protocol: 17,
});
const flow6 = pack(structs.flow6, {
  ...{ new_saddr: address('2001:db8:1::5'), new_daddr: address('2001:db8:1::11') },
  ...{ new_sport: 4000, new_dport: 5353, state: FLOW_FROM_CLIENT, stamp: 128 },
});

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

t.test('the twin’s key is the rewrite read backwards', (t) => {
  t.equal(hex(twinKey(FLOW_SHAPES[4], key4, flow4())), hex(twinKey4));
  t.equal(hex(twinKey(FLOW_SHAPES[4], twinKey4, twin4)), hex(key4));
  const back = pack(structs.flow_key6, {
    ...{
      saddr: address('2001:db8:1::11'),
      daddr: address('2001:db8:1::5'),
      sport: 5353,
      dport: 4000,
    },
    protocol: 17,
  });
  t.equal(hex(twinKey(FLOW_SHAPES[6], key6, flow6)), hex(back));
  t.end();
});

t.test('a scan sorts out what is idle and counts what is open', (t) => {
  const keys = Array.from({ length: 7 }, (_, sport) =>
    pack(structs.flow_key4, { sport, dport: 1 }),
  );
  const values = [
    flow4({ stamp: 999 }),
    flow4({ stamp: 940 }), // idle for 60 of member 0's 50
    flow4({ stamp: 940, member: 1 }), // member 1 may be idle for 100
    flow4({ stamp: 994, member: 1, state: FLOW_FROM_CLIENT | FLOW_CLOSED }), // closed for 6 of 5
    flow4({ stamp: 940, state: 0 }), // member half
    flow4({ stamp: 1001 }), // stamped on another CPU, a moment ahead
    flow4({ stamp: 900 }),
  ];
  const tally = newTally(2);
  const found = scanFlows(
    FLOW_SHAPES[4],
    { keys: concatRecords(keys), values: concatRecords(values), count: 7 },
    { now: 1000, idle: Uint32Array.of(50, 100), closed: 5 },
    tally,
  );
  const ports = [...found.idle].map(([limit, some]) => [limit, ...some.map((key) => key[9])]);
  t.strictSame(ports, [
    [50, 1, 6],
    [5, 3],
  ]);
  t.strictSame(found.orphans, [4]);
  t.strictSame([...tally.open], [4, 1]);
  t.strictSame([...tally.halves], [5, 2]);
  t.equal(tally.records, 7);
  t.end();
});

t.test('members’ keys are found by protocol and side', (t) => {
  const slice = {
    keys: concatRecords([key4, twinKey4, key4]),
    values: concatRecords([flow4(), twin4, flow4({ member: 7 })]),
    count: 3,
  };
  const find = (members: number[], protocol: number) =>
    keysOfMembers(FLOW_SHAPES[4], slice, new Set(members), [protocol]);
  t.strictSame(find([0], 6), { client: [key4], member: [twinKey4] });
  t.strictSame(find([7], 6), { client: [key4], member: [] });
  t.strictSame(find([0, 7], 17), { client: [], member: [] });
  t.end();
});

const numbers = assignNumbers(
  NO_NUMBERS,
  partsOf([listener('web', [pool([member('a', '192.0.2.11')])])]),
  { listeners: 1, pools: 1, members: 1 },
);
const names = flowNames(numbers);
const now = { jiffies: 130n << 6n, hz: 64 };

t.test('an open flow in words', (t) => {
  const packed = {
    family: 4,
    key: key4,
    value: flow4({ created: 128 << 6 }),
    isHalfOpen: false,
  } as const;
  t.strictSame(describeFlow({ ...packed, twin: twin4 }, names, now), {
    protocol: 'tcp',
    client: '203.0.113.100:4000',
    vip: '203.0.113.10:80',
    snat: '192.0.2.5:10240',
    member: '192.0.2.11:8080',
    listenerId: 'web',
    memberId: 'a',
    state: 'open',
    ageSeconds: 2,
    idleSeconds: 10,
    rxBytes: 1234,
    txBytes: 99,
  });
  t.end();
});

t.test('states of a flow', (t) => {
  const stateOf = (state: number, isHalfOpen = false) =>
    describeFlow(
      { family: 4, key: key4, value: flow4({ state }), twin: null, isHalfOpen },
      names,
      now,
    ).state;
  t.equal(stateOf(FLOW_FROM_CLIENT | FLOW_FIN), 'closing');
  t.equal(stateOf(FLOW_FROM_CLIENT | FLOW_CLOSED), 'closed');
  t.equal(stateOf(0, true), 'half-open');
  t.end();
});

t.test('a half-open flow is told by its member half', (t) => {
  const half = { family: 4, key: twinKey4, value: twin4, twin: null, isHalfOpen: true } as const;
  t.match(describeFlow(half, names, now), {
    client: '203.0.113.100:4000',
    vip: '203.0.113.10:80',
    snat: '192.0.2.5:10240',
    member: '192.0.2.11:8080',
    state: 'half-open',
  });
  t.end();
});

t.test('IPv6, and a member that nobody knows', (t) => {
  const packed = { family: 6, key: key6, value: flow6, twin: null, isHalfOpen: false } as const;
  t.match(describeFlow(packed, new Map(), now), {
    protocol: 'udp',
    client: '[2001:db8:c::1]:4000',
    vip: '[2001:db8::10]:53',
    snat: '[2001:db8:1::5]:4000',
    member: '[2001:db8:1::11]:5353',
    listenerId: null,
    memberId: null,
    txBytes: 0,
  });
  const lost = {
    ...numbers.members,
    x: { ...Object.values(numbers.members)[0], listenerId: '', memberId: '' },
  };
  const recovered = flowNames({ ...numbers, members: lost as typeof numbers.members });
  t.match(describeFlow(packed, recovered, now), { listenerId: null, memberId: null });
  t.end();
});

t.test('events in words', (t) => {
  const end = enums.flow_end.FLOW_END_MEMBER_RST;
  const event = (type: number, protocol: number) =>
    pack(structs.flow_event, {
      ...{ type, protocol, family: 4, end, member: 0, rx_bytes: 5n, tx_bytes: 6n },
      ...{ client: address('203.0.113.100'), client_port: 4000, created: 100, jiffies: 740 },
      ...{ vip: address('203.0.113.10'), vip_port: 80, snat: address('192.0.2.5'), snat_port: 1 },
      ...{ member_address: address('2001:db8::11'), member_port: 8080 },
    });
  t.strictSame(describeEvent(event(enums.flow_event_type.FLOW_EVENT_CLOSE, 6), names, 64), {
    type: 'close',
    reset: true,
    protocol: 'tcp',
    client: '203.0.113.100:4000',
    vip: '203.0.113.10:80',
    snat: '192.0.2.5:1',
    member: '[2001:db8::11]:8080',
    listenerId: 'web',
    memberId: 'a',
    ageSeconds: 10,
    rxBytes: 5,
    txBytes: 6,
  });
  t.match(describeEvent(event(enums.flow_event_type.FLOW_EVENT_OPEN, 132), names, 64), {
    type: 'open',
    protocol: 'sctp',
  });
  t.match(describeEvent(event(enums.flow_event_type.FLOW_EVENT_EXPIRE, 17), names, 64), {
    type: 'expire',
  });
  t.match(describeEvent(event(99, 17), names, 64), { type: 'close' });
  t.end();
});
