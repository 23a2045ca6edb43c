// SPDX-License-Identifier: Apache-2.0
// The sweep over flow tables that were filled by hand: stamps of any age without waiting for them.
import t, { type Test } from 'tap';
import { addressBytes } from '../../agent/core/plan/address-bytes.js';
import { concatRecords, pack, packIndex, unpack } from '../../agent/core/plan/encode.js';
import { enums, structs } from '../../agent/core/plan/layout.gen.js';
import { listener, member, pool, wantedState } from '../core/plan-fixtures.js';
import { makeWorld, type World } from './dataplane-world.js';
import { tableSizes } from '../../agent/core/plan/sizes.js';

const { FLOW_FROM_CLIENT, FLOW_OPEN, FLOW_CLOSED } = enums.flow_state;
const TCP = 6;
const UDP = 17;

interface Pair {
  readonly client: number; // port, and so the flow's name
  readonly member: number;
  readonly protocol: number;
  /** Seconds since the client's and the member's last packet. */
  readonly idle: readonly [number, number];
  readonly state?: number;
}

const v4 = (address: string): number => Buffer.from(addressBytes(address)).readUInt32BE(12);

/** Both halves of a flow as the programs would have written them. */
const halves = (pair: Pair, now: number, hz: number) => {
  const { protocol, member, client } = pair;
  const stamp = (seconds: number): number => (now - Math.ceil((seconds * hz) / 64)) >>> 0;
  const [c, vip, snat, m] = ['203.0.113.100', '203.0.113.10', '192.0.2.5', '192.0.2.11'].map(v4);
  const ends = { protocol, saddr: c ?? 0, daddr: vip ?? 0, sport: client, dport: 80 };
  const back = { protocol, saddr: m ?? 0, daddr: snat ?? 0, sport: 80, dport: client };
  const state = pair.state ?? FLOW_OPEN;
  return {
    clientKey: pack(structs.flow_key4, ends),
    client: pack(structs.flow4, {
      ...{ new_saddr: snat ?? 0, new_daddr: m ?? 0, new_sport: client, new_dport: 80 },
      ...{ member, stamp: stamp(pair.idle[0]), state: state | FLOW_FROM_CLIENT },
    }),
    memberKey: pack(structs.flow_key4, back),
    member: pack(structs.flow4, {
      ...{ new_saddr: vip ?? 0, new_daddr: c ?? 0, new_sport: 80, new_dport: client },
      ...{ member, stamp: stamp(pair.idle[1]), state: state & ~FLOW_OPEN },
    }),
  };
};

const setOpen = (world: World, map: 'member_state' | 'listener_state', n: number, open: number) => {
  world.map(map).update(packIndex(n), pack(structs[map], { open }));
};
const openOf = (world: World, map: 'member_state' | 'listener_state', n: number): number =>
  unpack(structs[map], world.map(map).lookup(packIndex(n)) ?? new Uint8Array(16)).open;

const web = listener('web', [pool([member('a', '192.0.2.11')])]);
const dns = listener('dns', [pool([member('b', '192.0.2.12')])], {
  protocol: 'UDP',
  origin: 'lvs',
});

/** A started dataplane with a TCP member of number 0 and a UDP member of number 1. */
const start = async (t: Test, flows = 4096) => {
  const world = await makeWorld(t);
  const sizes = tableSizes(2 ** 30, { flows, persistence: 1024 });
  const dataplane = world.dataplane({ sizes });
  await dataplane.start();
  await dataplane.apply(wantedState([web, dns]));
  const clock = dataplane.clock();
  const table = world.map('flows4');
  const insert = (...pairs: Pair[]): void => {
    const all = pairs.map((pair) => halves(pair, clock.stamp, clock.hz));
    table.updateBatch(
      concatRecords(all.flatMap((pair) => [pair.clientKey, pair.memberKey])),
      concatRecords(all.flatMap((pair) => [pair.client, pair.member])),
    );
  };
  const ports = (): number[] => {
    const { keys, values, count } = table.dump();
    return Array.from({ length: count }, (_, i) => i)
      .filter((i) => unpack(structs.flow4, values, i * 64).state & FLOW_FROM_CLIENT)
      .map((i) => unpack(structs.flow_key4, keys, i * 16).sport)
      .sort((a, b) => a - b);
  };
  return { world, dataplane, clock, table, insert, ports };
};

t.test('flows end when both sides have been silent for the listener’s timeout', async (t) => {
  const { world, dataplane, table, insert, ports } = await start(t);
  insert(
    { client: 1001, member: 0, protocol: TCP, idle: [10, 10] },
    { client: 1002, member: 0, protocol: TCP, idle: [60, 60] },
    { client: 1003, member: 0, protocol: TCP, idle: [60, 10] }, // the member still speaks
    { client: 1004, member: 1, protocol: UDP, idle: [200, 200] },
    { client: 1005, member: 1, protocol: UDP, idle: [310, 310] },
  );
  setOpen(world, 'member_state', 0, 3);
  setOpen(world, 'listener_state', 0, 3);
  await dataplane.sweep();
  t.strictSame(ports(), [1001, 1003, 1004]);
  t.equal(table.dump().count, 6, 'with both halves');
  t.equal(openOf(world, 'member_state', 0), 2);
  t.equal(openOf(world, 'listener_state', 0), 2);
});

t.test('a closed flow keeps its port for a minute, whatever the timeout', async (t) => {
  const { dataplane, insert, ports } = await start(t);
  const state = FLOW_CLOSED;
  insert(
    { client: 1001, member: 1, protocol: UDP, idle: [40, 40], state },
    { client: 1002, member: 1, protocol: UDP, idle: [62, 62], state },
  );
  await dataplane.sweep();
  t.strictSame(ports(), [1001]);
});

t.test('a member half without its client half is removed once it is old', async (t) => {
  const { dataplane, clock, table, insert } = await start(t);
  const orphan = (client: number, idle: number) => {
    const pair = halves(
      { client, member: 0, protocol: TCP, idle: [idle, idle] },
      clock.stamp,
      clock.hz,
    );
    table.update(pair.memberKey, pair.member);
    return pair;
  };
  orphan(1001, 70);
  orphan(1002, 5);
  insert({ client: 1003, member: 0, protocol: TCP, idle: [5, 70] }); // only the client speaks
  // A client half that has gone on to another port: the old member half is nobody's.
  const stray = orphan(1004, 70);
  const moved = unpack(structs.flow4, stray.client);
  table.update(
    stray.clientKey,
    pack(structs.flow4, { ...moved, new_sport: 2004, stamp: clock.stamp }),
  );
  await dataplane.sweep();
  const left = table.dump();
  const dports = Array.from({ length: left.count }, (_, i) => i)
    .filter((i) => !(unpack(structs.flow4, left.values, i * 64).state & FLOW_FROM_CLIENT))
    .map((i) => unpack(structs.flow_key4, left.keys, i * 16).dport)
    .sort((a, b) => a - b);
  t.strictSame(dports, [1002, 1003]);
});

t.test('a crowded table sheds idle UDP flows and old closed ones, and says so', async (t) => {
  const { world, dataplane, insert, ports } = await start(t, 512);
  insert(
    ...Array.from({ length: 400 }, (_, i) => ({
      ...{ client: 1000 + i, member: 1, protocol: UDP },
      idle: [i < 390 ? 40 : 5, 40] as const,
    })),
    { client: 9001, member: 0, protocol: TCP, idle: [40, 40] },
    { client: 9002, member: 0, protocol: TCP, idle: [8, 8], state: FLOW_CLOSED },
  );
  await dataplane.sweep();
  t.equal(ports().length, 402, 'nothing was over its usual time');
  t.match(
    world.log.filter(({ level }) => level === 'warn'),
    [{ message: /crowded/ }],
  );
  await dataplane.sweep();
  t.strictSame(ports(), [...Array.from({ length: 10 }, (_, i) => 1390 + i), 9001]);
  await dataplane.sweep();
  t.ok(world.log.some(({ message }) => /has room/.test(message)));
});

t.test('a counter that is wrong at rest is corrected in the second pass', async (t) => {
  const { world, dataplane, insert } = await start(t);
  insert({ client: 1001, member: 0, protocol: TCP, idle: [1, 1] });
  setOpen(world, 'member_state', 0, 5);
  setOpen(world, 'listener_state', 0, 5);
  await dataplane.sweep();
  t.equal(openOf(world, 'member_state', 0), 5, 'once is no proof');
  await dataplane.sweep();
  t.equal(openOf(world, 'member_state', 0), 1);
  t.equal(openOf(world, 'listener_state', 0), 1);
});

t.test('a member’s number is free after two passes without its flows, not before', async (t) => {
  const { world, dataplane, table, insert, clock } = await start(t);
  insert({ client: 1001, member: 0, protocol: TCP, idle: [1, 1] });
  const count = (number: number, words: Partial<Record<string, bigint>>): void => {
    const record = pack(structs.member_counters, words);
    const cpus = world.map('member_counters').info.valueSize / record.length;
    const values = [record, ...Array.from({ length: cpus - 1 }, () => new Uint8Array(48))];
    world.map('member_counters').update(packIndex(number), concatRecords(values));
  };
  count(0, { rx_bytes: 100n, flows: 3n });
  const other = listener('web', [pool([member('c', '192.0.2.13')])]);
  await dataplane.apply(wantedState([other, dns]));
  const total = (): number | undefined => dataplane.counters().listeners['web']?.rxBytes;
  t.equal(total(), 100, 'what a member counted stays with its listener');
  const numbers = async (): Promise<Set<number>> => {
    await dataplane.apply(wantedState([other, dns]));
    const { keys, values, count: records } = world.map('members').dump();
    return new Set(
      Array.from({ length: records }, (_, i) => i)
        .filter((i) => values.subarray(i * 36, i * 36 + 36).some((byte) => byte !== 0))
        .map((i) => Buffer.from(keys).readUInt32LE(i * 4)),
    );
  };
  for (let pass = 0; pass < 3; pass++) await dataplane.sweep();
  t.ok((await numbers()).has(0), 'a flow holds it');
  const pair = halves({ client: 1001, member: 0, protocol: TCP, idle: [1, 1] }, clock.stamp, 250);
  table.deleteBatch(concatRecords([pair.clientKey, pair.memberKey]));
  await dataplane.sweep();
  t.ok((await numbers()).has(0), 'one pass is not enough');
  await dataplane.sweep();
  t.notOk((await numbers()).has(0));
  t.equal(total(), 100);

  const more = listener('web', [pool([member('c', '192.0.2.13'), member('d', '192.0.2.14')])]);
  await dataplane.apply(wantedState([more, dns]));
  const ofD = (): number | undefined =>
    dataplane.counters().listeners['web']?.pools['pool-1']?.['d']?.rxBytes;
  t.equal(ofD(), 0, 'the next owner of number 0 starts from nothing');
  count(0, { rx_bytes: 130n, flows: 4n });
  t.equal(ofD(), 30);
  t.equal(total(), 130, 'and never backwards');
  dataplane.close();
  const next = world.dataplane();
  await next.start();
  t.equal(next.counters().listeners['web']?.rxBytes, 130, 'also after a restart');
});

t.test('nothing ends before the first apply has told the timeouts', async (t) => {
  const { world, dataplane, insert, table } = await start(t);
  insert({ client: 1001, member: 0, protocol: TCP, idle: [600, 600] });
  dataplane.close();
  const next = world.dataplane();
  await next.start();
  await next.sweep();
  t.equal(table.dump().count, 2);
});
