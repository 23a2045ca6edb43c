// SPDX-License-Identifier: Apache-2.0
// The capacity that is promised: 500 listeners, 5,000 members, 1,000 members in one pool, 1,000,000 flows.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import t from 'tap';
import { addressBytes } from '../../agent/core/plan/address-bytes.js';
import { pack, packIndex, unpack } from '../../agent/core/plan/encode.js';
import { enums, structs } from '../../agent/core/plan/layout.gen.js';
import type { BpfMap } from '../../native/index.js';
import { tableSizes } from '../../agent/core/plan/sizes.js';
import { at, listener, member, pool, wantedState } from '../core/plan-fixtures.js';
import { makeWorld } from './dataplane-world.js';

const address = (index: number): string =>
  `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
const members = (from: number, count: number, weight = 1) =>
  Array.from({ length: count }, (_, i) => member(`m${from + i}`, address(from + i), { weight }));

const v4 = (text: string): number => Buffer.from(addressBytes(text)).readUInt32BE(12);

/** Open TCP flows of member 0, from clients 10.x.x.x to SNAT ports that repeat over many addresses. */
const fillFlows = (table: BpfMap, count: number, stamp: number): void => {
  const { FLOW_FROM_CLIENT, FLOW_OPEN } = enums.flow_state;
  const ends = { daddr: v4('203.0.113.10'), sport: 4000, dport: 80, protocol: 6 };
  const clientKey = pack(structs.flow_key4, ends);
  const client = pack(structs.flow4, {
    ...{ new_saddr: v4('203.0.113.10'), new_daddr: v4('10.0.0.1'), new_dport: 80 },
    ...{ stamp, state: FLOW_FROM_CLIENT | FLOW_OPEN },
  });
  const BATCH = 10_000;
  for (let from = 0; from < count; from += BATCH) {
    const keys = Buffer.alloc(2 * BATCH * 16);
    const values = Buffer.alloc(2 * BATCH * 64);
    for (let i = 0; i < BATCH; i++) {
      const address = v4('10.0.0.0') + from + i;
      keys.set(clientKey, i * 32);
      keys.writeUInt32BE(address, i * 32);
      values.set(client, i * 128);
      // The member half: only its own key matters to a look, and it must be one of a kind.
      keys.writeUInt32BE(v4('192.0.2.11'), i * 32 + 16);
      keys.writeUInt32BE(address, i * 32 + 20);
      values.writeUInt32LE(stamp, i * 128 + 64 + structs.flow4.fields.stamp.offset);
    }
    table.updateBatch(keys, values);
  }
};

t.test('500 listeners with 5,000 members are applied and then cost nothing', async (t) => {
  const world = await makeWorld(t);
  const listeners = Array.from({ length: 500 }, (_, i) => {
    const size = i === 0 ? 1000 : 8;
    const pools = [pool(members(i * 1000, size), { id: `pool-${i}` })];
    return listener(`l${i}`, pools, { vips: [at('203.0.113.10', 1000 + i)] });
  });
  const dataplane = world.dataplane({ sizes: tableSizes(2 ** 31, { flows: 4096 }) });
  await dataplane.start();
  const begin = performance.now();
  const { writes } = await dataplane.apply(wantedState(listeners));
  const first = performance.now() - begin;
  t.match(writes, { members: 1000 + 499 * 8, pool_slots: 500, listeners: 500, services: 500 });
  const again = performance.now();
  t.strictSame((await dataplane.apply(wantedState(listeners))).writes, {});
  t.comment(`first ${Math.round(first)} ms, again ${Math.round(performance.now() - again)} ms`);
});

t.test('1,000,000 flows fit, and a look at all of them holds nobody up', async (t) => {
  const world = await makeWorld(t);
  const dataplane = world.dataplane({ sizes: tableSizes(2 ** 33) });
  t.match(await dataplane.start(), { flowCapacity: 1_000_000 });
  await dataplane.apply(wantedState([listener('web', [pool(members(1, 1))])]));
  const { stamp } = dataplane.clock();
  const begin = performance.now();
  fillFlows(world.map('flows4'), 1_000_000, stamp);
  const filled = performance.now();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await dataplane.sweep();
  delay.disable();
  const longest = Math.round(delay.max / 1e6);
  t.comment(
    `filled in ${Math.round(filled - begin)} ms, looked at in ${Math.round(performance.now() - filled)} ms, others waited at most ${longest} ms`,
  );
  t.ok(longest < 200, 'no slice takes long');
  t.equal(dataplane.flows({ limit: 10 }).length, 10);
  const state = unpack(
    structs.member_state,
    world.map('member_state').lookup(packIndex(0)) ?? new Uint8Array(16),
  );
  t.equal(state.open, 0);
  await dataplane.sweep();
  const open = world.map('listener_state').lookup(packIndex(0));
  t.equal(Buffer.from(open ?? []).readUInt32LE(), 1_000_000, 'the recount met every flow');
});
