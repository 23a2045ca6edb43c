// SPDX-License-Identifier: Apache-2.0
// Packed ends of flows, and UDP without a combined config, as their lines tell them.
import t from 'tap';
import { describeEnd, logNames } from '../../agent/core/log/flow-end.js';
import { terminationOf } from '../../agent/core/log/termination.js';
import { defaultTarget } from '../../agent/core/log/log-target.js';
import { addressBytes } from '../../agent/core/plan/address-bytes.js';
import { pack } from '../../agent/core/plan/encode.js';
import { enums, structs } from '../../agent/core/plan/layout.gen.js';
import type { Numbers } from '../../agent/core/plan/numbers.js';

const { flow_end: ends, flow_state: states } = enums;

const numbers: Numbers = {
  listeners: {
    'web/4': {
      ...{ number: 1, live: false, listenerId: 'web', protocol: 'TCP', idleMs: 1, vips: [] },
      log: { format: '%f', targets: [defaultTarget(16)], idleSide: 's' },
    },
    'raw/4': { number: 2, live: true, listenerId: 'raw', protocol: 'TCP', idleMs: 1, vips: [] },
  },
  pools: { 'p:web/4': { number: 5, live: true } },
  members: {
    m: {
      ...{ number: 7, live: true, listenerId: 'web', poolId: 'p', memberId: 'a' },
      ...{ address: '10.1.0.10', port: 80, listener: 1, pool: 5 },
    },
  },
};
const names = logNames(numbers);
const clock = { hz: 100, wallMs: (ns: number) => ns / 1e6 };
const record = (fields: Parameters<typeof pack<typeof structs.flow_event>>[1]) =>
  pack(structs.flow_event, {
    ...{ listener: 1, member: 7, pool: 5, protocol: 6, end: ends.FLOW_END_FIN },
    ...{ client: addressBytes('192.0.2.1'), client_port: 4000, time_ns: 9_000_000_000n },
    ...{ vip: addressBytes('10.0.0.10'), vip_port: 80, created: 0xffffffff, jiffies: 299 },
    ...{ snat: addressBytes('10.0.0.10'), snat_port: 10240, rx_bytes: 5n, tx_bytes: 6n },
    ...{ member_address: addressBytes('10.1.0.10'), member_port: 80, state: 2 << 24 },
    ...fields,
  });
const describe = (fields: Parameters<typeof record>[0]) =>
  describeEnd(record(fields), names, clock);

t.test('a flow that was closed', async (t) => {
  t.strictSame(describe({})?.flow, {
    listenerId: 'web',
    backend: 'p:web',
    memberId: 'a',
    client: { address: '192.0.2.1', port: 4000 },
    vip: { address: '10.0.0.10', port: 80 },
    source: { address: '10.0.0.10', port: 10240 },
    member: { address: '10.1.0.10', port: 80 },
    acceptedMs: 6000,
    durationMs: 3000,
    bytesFromClient: 5,
    bytesToClient: 6,
    retries: 2,
    isEstablished: true,
    termination: '--',
  });
});

t.test('a connection that nobody took', async (t) => {
  const nobody = { end: ends.FLOW_END_NO_MEMBER, member: 0xffffffff };
  t.match(describe(nobody)?.flow, { memberId: null, member: null, backend: 'p:web' });
  t.match(describe({ ...nobody, pool: 9 })?.flow, { backend: 'web', isEstablished: false });
  t.match(describe({ end: ends.FLOW_END_REFUSED })?.flow, {
    ...{ memberId: 'a', isEstablished: false, termination: 'SC' },
  });
});

t.test('a datagram flow lasted until its last packet', async (t) => {
  const silent = { protocol: 17, end: ends.FLOW_END_IDLE, idle_stamps: 4 };
  t.match(describe(silent)?.flow, { durationMs: 440, termination: '--' });
  t.match(describe({ ...silent, idle_stamps: 99 })?.flow, { durationMs: 0 });
  t.match(describe({ ...silent, protocol: 6 })?.flow, { durationMs: 3000, termination: 'sD' });
});

t.test('listeners that are unknown, or do not log', async (t) => {
  t.equal(describe({ listener: 3 }), null);
  t.equal(describe({ listener: 2 })?.listener.log, undefined);
  t.match(describe({ listener: 2, end: ends.FLOW_END_IDLE })?.flow, { termination: 'cD' });
});

const { FLOW_FIN, FLOW_TWIN_FIN } = states;
for (const [end, state, wanted] of [
  [ends.FLOW_END_FIN, 0, '--'],
  [ends.FLOW_END_CLIENT_RST, 0, 'CD'],
  [ends.FLOW_END_MEMBER_RST, 0, 'SD'],
  [ends.FLOW_END_IDLE, 0, 'cD'],
  [ends.FLOW_END_IDLE, FLOW_FIN, 'sD'],
  [ends.FLOW_END_IDLE, FLOW_TWIN_FIN, 'cD'],
  [ends.FLOW_END_EVICTED, 0, 'DD'],
  [ends.FLOW_END_REFUSED, 0, 'SC'],
  [ends.FLOW_END_NO_MEMBER, 0, 'SC'],
] as const) {
  t.test(`end ${end} in state ${state} is ${wanted}`, async (t) => {
    t.equal(terminationOf({ end, state, isTcp: true, idleSide: 'c' }), wanted);
  });
}
