// SPDX-License-Identifier: Apache-2.0
// The dataplane over the real kernel: what it writes, what it adopts, what it leaves behind.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { packIndex, unpack } from '../../agent/core/plan/encode.js';
import { structs } from '../../agent/core/plan/layout.gen.js';
import { tableSizes } from '../../agent/core/plan/sizes.js';
import { layoutDirectory } from '../../agent/shell/dataplane-maps.js';
import { addon, type BpfMap } from '../../native/index.js';
import { at, listener, member, pool, wantedState } from '../core/plan-fixtures.js';
import { makeWorld } from './dataplane-world.js';

const members = ['192.0.2.11', '192.0.2.12', '192.0.2.13'].map((address, i) =>
  member(`m${i}`, address),
);

const programId = (text: string): string => /prog\/xdp id (\d+)/.exec(text)?.[1] ?? 'none';

t.test('first apply writes everything once, the second nothing', async (t) => {
  const world = await makeWorld(t);
  const eth1 = world.plug('eth1', ['203.0.113.5/24', '203.0.113.10/32']);
  const wanted = wantedState([listener('l1', [pool(members)])], { interfaces: [eth1] });
  const dataplane = world.dataplane();
  t.match(await dataplane.start(), { adopted: false, flowCapacity: 4096 });
  const first = await dataplane.apply(wanted);
  const writes = {
    members: 3,
    pool_slots: 1,
    listeners: 1,
    interfaces: 1,
    control: 3,
    services: 1,
  };
  t.strictSame(first.writes, writes);
  t.match(first.hooks, [{ interface: 'eth1', hook: 'xdp', reason: /asked for/ }]);
  t.match(world.ip('-d', 'link', 'show', 'eth1'), /prog\/xdp/);
  t.strictSame((await dataplane.apply(wanted)).writes, {});
});

t.test('a change of one member writes its pool and nothing else', async (t) => {
  const world = await makeWorld(t);
  const two = (weight: number, address = '192.0.2.12') => [
    listener('l1', [pool([member('m0', '192.0.2.11'), member('m1', address, { weight })])]),
    listener('l2', [pool(members, { id: 'pool-2' })], { vips: [at('203.0.113.10', 81)] }),
  ];
  const dataplane = world.dataplane();
  await dataplane.start();
  await dataplane.apply(wantedState(two(1)));
  t.strictSame((await dataplane.apply(wantedState(two(2)))).writes, { pool_slots: 1 });
  const down = wantedState(two(2), { down: new Set(['pool-1:l1/m1']) });
  t.strictSame((await dataplane.apply(down)).writes, { members: 1, pool_slots: 1 });
  t.strictSame((await dataplane.apply(wantedState(two(2)))).writes, { members: 1, pool_slots: 1 });
  const moved = await dataplane.apply(wantedState(two(2, '192.0.2.99')));
  t.strictSame(
    moved.writes,
    { members: 2, control: 1, pool_slots: 1 },
    'the old number is kept for its flows',
  );
});

t.test('after a crash the next agent adopts maps, links and numbers', async (t) => {
  const world = await makeWorld(t);
  const eth1 = world.plug('eth1', ['203.0.113.5/24', '203.0.113.10/32']);
  const wanted = wantedState([listener('l1', [pool(members)])], { interfaces: [eth1] });
  const first = world.dataplane();
  await first.start();
  await first.apply(wanted);
  const link = world.ip('-d', 'link', 'show', 'eth1');
  first.close();

  const second = world.dataplane();
  t.match(await second.start(), { adopted: true, flowCapacity: 4096 });
  t.ok(world.log.some(({ message }) => message === 'pinned maps adopted'));
  t.not(programId(world.ip('-d', 'link', 'show', 'eth1')), programId(link), 'program replaced');
  t.strictSame((await second.apply(wanted)).writes, {}, 'nothing differed');
});

t.test('a crash between saving numbers and writing maps is made good', async (t) => {
  const world = await makeWorld(t);
  const first = world.dataplane();
  await first.start();
  await first.apply(wantedState([listener('l1', [pool(members)])]));
  const state = join(world.stateDirectory, 'dataplane.json');
  const old = readFileSync(state, 'utf8');
  await first.apply(wantedState([listener('l1', [pool(members.slice(1))])]));
  first.close();
  writeFileSync(state, old); // as if the last save of slots had been lost

  const second = world.dataplane();
  await second.start();
  const report = await second.apply(wantedState([listener('l1', [pool(members.slice(1))])]));
  t.strictSame(report.writes, { pool_slots: 1 }, 'the unknown table is written again');
});

t.test(
  'without its state file the next agent hands out none of the numbers in the maps',
  async (t) => {
    const world = await makeWorld(t);
    const wanted = wantedState([listener('l1', [pool(members)])]);
    const first = world.dataplane();
    await first.start();
    await first.apply(wanted);
    first.close();
    rmSync(join(world.stateDirectory, 'dataplane.json'));

    const second = world.dataplane();
    t.match(await second.start(), { adopted: true });
    await second.apply(wanted);
    const maps = addon.openPinnedMap(join(layoutDirectory(world.pinDirectory), 'members'));
    t.teardown(() => {
      maps.close();
    });
    const flags = [0, 1, 2, 3, 4, 5].map(
      (number) =>
        unpack(structs.member, maps.lookup(packIndex(number)) ?? new Uint8Array(36)).flags,
    );
    t.strictSame(flags, [0, 0, 0, 3, 3, 3], 'old numbers in quarantine, new ones behind them');
  },
);

t.test('remove leaves nothing in the kernel', async (t) => {
  const world = await makeWorld(t);
  const eth1 = world.plug('eth1', ['203.0.113.5/24']);
  const eth2 = { ...world.plug('eth2', ['192.0.2.5/24']), hook: 'tc' as const };
  const dataplane = world.dataplane();
  await dataplane.start();
  await dataplane.apply(wantedState([], { interfaces: [eth1, eth2] }));
  t.match(world.tc('eth2'), /lb_tc/);
  await dataplane.remove();
  t.notOk(existsSync(world.pinDirectory));
  t.notMatch(world.ip('-d', 'link', 'show', 'eth1'), /prog\/xdp/);
  t.notMatch(world.tc('eth2'), /lb_tc/);
});

t.test('the hook of an interface can be changed both ways', async (t) => {
  const world = await makeWorld(t);
  const eth1 = world.plug('eth1', ['203.0.113.5/24']);
  const dataplane = world.dataplane();
  await dataplane.start();
  const as = async (hook: 'xdp' | 'tc'): Promise<void> => {
    const { hooks } = await dataplane.apply(wantedState([], { interfaces: [{ ...eth1, hook }] }));
    t.match(hooks, [{ hook }]);
    t.equal(/prog\/xdp/.test(world.ip('-d', 'link', 'show', 'eth1')), hook === 'xdp');
    t.equal(world.tc('eth1').includes('lb_tc'), hook === 'tc');
  };
  await as('xdp');
  await as('tc');
  await as('xdp');
});

t.test('an MTU beyond one page gets the multi-buffer program in place', async (t) => {
  const world = await makeWorld(t);
  const eth1 = world.plug('eth1', ['203.0.113.5/24']);
  const dataplane = world.dataplane();
  await dataplane.start();
  await dataplane.apply(wantedState([], { interfaces: [eth1] }));
  const large = { ...eth1, mtu: 9000 };
  const { hooks } = await dataplane.apply(wantedState([], { interfaces: [large] }));
  t.match(hooks, [{ hook: 'xdp', reason: /multi-buffer/ }]);
  const links = readdirSync(join(world.pinDirectory, 'links'));
  t.strictSame(links, [`${eth1.ifindex}_frags`]);
  dataplane.close();
  const next = world.dataplane();
  await next.start();
  t.match((await next.apply(wantedState([], { interfaces: [large] }))).hooks, [{ hook: 'xdp' }]);
});

t.test('an interface that was replugged under its old number is served again', async (t) => {
  const world = await makeWorld(t);
  const eth1 = world.plug('eth1', ['203.0.113.5/24']);
  const dataplane = world.dataplane();
  await dataplane.start();
  await dataplane.apply(wantedState([], { interfaces: [eth1] }));
  world.ip('link', 'del', 'eth1');
  const again = world.plug('eth1', ['203.0.113.5/24'], eth1.ifindex);
  t.equal(again.ifindex, eth1.ifindex);
  await dataplane.apply(wantedState([], { interfaces: [again] }));
  t.match(world.ip('-d', 'link', 'show', 'eth1'), /prog\/xdp/);

  dataplane.close();
  world.ip('link', 'del', 'eth1');
  world.plug('eth1', ['203.0.113.5/24'], eth1.ifindex);
  const next = world.dataplane();
  await next.start();
  await next.apply(wantedState([], { interfaces: [again] }));
  t.match(world.ip('-d', 'link', 'show', 'eth1'), /prog\/xdp/, 'also across a restart');
});

t.test('an interface that vanished before apply is left out of the report', async (t) => {
  const world = await makeWorld(t);
  const eth1 = world.plug('eth1', ['203.0.113.5/24']);
  world.ip('link', 'del', 'eth1');
  const dataplane = world.dataplane();
  await dataplane.start();
  t.strictSame((await dataplane.apply(wantedState([], { interfaces: [eth1] }))).hooks, []);
});

t.test('where native XDP is refused, auto takes tc and says why; xdp is an error', async (t) => {
  const world = await makeWorld(t);
  const eth1 = world.plug('eth1', ['203.0.113.5/24']);
  world.ip('link', 'add', 'odd0', 'type', 'bridge'); // a device without native XDP
  const odd = {
    ...eth1,
    name: 'odd0',
    ifindex: addon.ifindexByName('odd0', world.netns),
    driver: '',
    hook: 'auto' as const,
  };
  const dataplane = world.dataplane();
  await dataplane.start();
  const { hooks } = await dataplane.apply(wantedState([], { interfaces: [odd, eth1] }));
  t.match(hooks, [
    { interface: 'odd0', hook: 'tc', reason: /refused \(.*EOPNOTSUPP.*\), so tc/ },
    { interface: 'eth1', hook: 'xdp' },
  ]);
  await t.rejects(
    dataplane.apply(
      wantedState([], {
        interfaces: [
          { ...odd, hook: 'xdp' },
          { ...eth1, hook: 'tc' },
        ],
      }),
    ),
    /odd0 cannot be served by xdp/,
  );
  t.match(world.tc('eth1'), /lb_tc/, 'the others are served all the same');
});

t.test('no private memory of the programs is pinned', async (t) => {
  const world = await makeWorld(t);
  const dataplane = world.dataplane();
  await dataplane.start();
  await dataplane.apply(wantedState([], { interfaces: [world.plug('eth1', [])] }));
  const pins = readdirSync(layoutDirectory(world.pinDirectory));
  t.strictSame(
    pins.filter((name) => /scratch|rodata|bss|data$/.test(name)),
    [],
  );
  t.ok(pins.includes('flows4'));
});

t.test('a pin directory outside a bpffs is refused with what to do', async (t) => {
  const world = await makeWorld(t);
  const dataplane = world.dataplane({ pinDirectory: join(t.testdir(), 'pins') });
  await t.rejects(dataplane.start(), /not a mounted bpffs; mount one there/);
});

t.test('more members than the table holds is a clear error and changes nothing', async (t) => {
  const world = await makeWorld(t);
  const sizes = tableSizes(2 ** 30, { flows: 256, members: 2 });
  const dataplane = world.dataplane({ sizes });
  await dataplane.start();
  const small = wantedState([listener('l1', [pool(members.slice(0, 2))])]);
  await dataplane.apply(small);
  await t.rejects(
    dataplane.apply(wantedState([listener('l1', [pool(members)])])),
    /the table of members holds 2 and is full/,
  );
  t.strictSame((await dataplane.apply(small)).writes, {});
});

t.test('changes, starts and ends leave no descriptor and no map behind', async (t) => {
  const world = await makeWorld(t);
  const eth1 = world.plug('eth1', ['203.0.113.5/24']);
  const state = (weight: number) =>
    wantedState(
      [listener('l1', [pool([member('m0', '192.0.2.11', { weight }), ...members.slice(1)])])],
      {
        interfaces: [eth1],
      },
    );
  // Others on this machine have maps too: ours are those that were once in our table of pools.
  const ours = new Set<number>();
  let table: BpfMap | undefined;
  const inTable = (): number[] => {
    table ??= world.map('pool_slots');
    const { values, count } = table.dump();
    const ids = Array.from(new Uint32Array(values.slice().buffer, 0, count));
    return ids.filter((id) => id !== 0);
  };
  const alive = (): number[] => {
    const all = execFileSync('bpftool', ['map', 'show', '-j'], { encoding: 'utf8' });
    const ids = (JSON.parse(all) as { id: number }[]).map(({ id }) => id);
    return ids.filter((id) => ours.has(id)).sort((a, b) => a - b);
  };
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const round = async (): Promise<void> => {
    const dataplane = world.dataplane();
    await dataplane.start();
    for (let weight = 1; weight <= 10; weight++) {
      await dataplane.apply(state(weight));
      for (const id of inTable()) ours.add(id);
    }
    dataplane.follow(() => undefined)();
    dataplane.close();
  };
  await round();
  const before = descriptors();
  for (let i = 0; i < 5; i++) await round();
  t.equal(descriptors(), before);
  t.ok(ours.size > 6, `${ours.size} orders of the pool have come and gone`);
  t.strictSame(
    alive(),
    inTable().sort((a, b) => a - b),
  );
});
