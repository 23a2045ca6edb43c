// SPDX-License-Identifier: Apache-2.0
// Who gets the next connection: each algorithm and persistence, over IPv4 and IPv6, as clients see it.
import t from 'tap';
import { countOf, makeBed, settle } from '../support/bed.js';
import type { ListenerSpec, MemberSpec } from '../support/load-balancer-config.js';
import { CLIENT, VIP } from '../support/topology.js';
import { datagrams, Flows } from '../support/traffic.js';

const three = (weights: readonly [number, number, number]): MemberSpec[] => [
  { member: 'm1', weight: weights[0] },
  { member: 'm2', weight: weights[1] },
  { member: 'm3', weight: weights[2] },
];
const weighted: ListenerSpec = { fixture: 'a02-weights', port: 8001, members: three([1, 3, 7]) };
const least: ListenerSpec = { fixture: 'a03-leastconn', port: 8003, members: three([1, 1, 1]) };
const leastWeighted: ListenerSpec = { ...least, port: 8004, members: three([1, 2, 3]) };
const hashed: ListenerSpec = { fixture: 'a04-source-ip', port: 8005, members: three([1, 1, 1]) };
const persisted: ListenerSpec = {
  fixture: 'a13-persist-source-ip',
  version: '16.0.0', // older controllers write a table that knows IPv4 clients only
  port: 8006,
  members: three([1, 1, 1]),
};
const both: ListenerSpec = {
  fixture: 'a34-additional-vips',
  port: 8007,
  vips: [VIP.v4, VIP.second],
  members: three([1, 1, 0]).slice(0, 2),
};
const FAMILIES = [
  { family: 'IPv4', vip: VIP.v4, offset: 0, first: CLIENT.first4, newcomer: '198.18.9.1' },
  { family: 'IPv6', vip: VIP.v6, offset: 100, first: CLIENT.first6, newcomer: '2001:db8:c1::9:1' },
] as const;
const everything: readonly ListenerSpec[] = [
  ...[weighted, least, leastWeighted, hashed, persisted].flatMap((spec) =>
    FAMILIES.map(({ vip, offset }) => ({ ...spec, port: spec.port + offset, vips: [vip] })),
  ),
  both,
];
const PORTS = [...everything.map(({ port }) => port), 5301, 5302, 5303];

t.test('TCP and UDP are spread as configured', async (t) => {
  const bed = await makeBed(t, { hook: 'xdp', ports: PORTS });
  const { client } = bed.world;
  await bed.push(...everything);
  /** The listener on this port has other members; all others are as they were. */
  const change = (port: number, members: readonly MemberSpec[]) =>
    bed.push(...everything.map((spec) => (spec.port === port ? { ...spec, members } : spec)));

  for (const { family, vip, offset, first: firstSource, newcomer } of FAMILIES) {
    t.test(`round robin is exact and smooth by weight over ${family}`, async (t) => {
      const flows = new Flows(client, vip, weighted.port + offset);
      const { names, members } = await flows.open(110);
      t.strictSame(members, { m1: 10, m2: 30, m3: 70 });
      for (let start = 0; start + 11 <= names.length; start += 11) {
        t.strictSame(countOf(names.slice(start, start + 11)), { m1: 1, m2: 3, m3: 7 });
      }
      const parallel = await flows.open(1100, { parallel: 50 });
      t.strictSame(parallel.members, { m1: 100, m2: 300, m3: 700 }, 'also when many come at once');
      t.match(await flows.check(), { right: 1210, wrong: 0, lost: 0, closed: 0 });
      await flows.stop();
    });

    t.test(`least connections follows the load over ${family}`, async (t) => {
      const flows = new Flows(client, vip, least.port + offset);
      t.strictSame((await flows.open(30)).members, { m1: 10, m2: 10, m3: 10 });
      t.equal(await flows.close('m2'), 10);
      await settle();
      t.strictSame((await flows.open(10)).members, { m2: 10 }, 'the idle member gets all');
      t.equal(await flows.close('m1', 6, 'rst'), 6);
      await settle();
      t.strictSame((await flows.open(6)).members, { m1: 6 }, 'a reset closes too');
      await flows.stop();
    });

    t.test(`least connections goes by weight over ${family}`, async (t) => {
      const flows = new Flows(client, vip, leastWeighted.port + offset);
      t.strictSame((await flows.open(60)).members, { m1: 10, m2: 20, m3: 30 });
      await flows.stop();
    });

    t.test(`source hashing moves only what it must over ${family}`, async (t) => {
      const port = hashed.port + offset;
      const ask = async () => {
        const flows = new Flows(client, vip, port);
        await flows.from({ first: firstSource, count: 2000 });
        const { names } = await flows.open(2000, { parallel: 50 });
        await flows.stop();
        return names;
      };
      const first = await ask();
      const shares = countOf(first);
      for (const member of ['m1', 'm2', 'm3']) {
        t.ok(Math.abs((shares[member] ?? 0) - 667) < 100, `${member} has its share`, shares);
      }
      t.strictSame(await ask(), first, 'the same again');

      const left = hashed.members.slice(0, 2);
      const without: readonly (readonly [string, MemberSpec[], number])[] = [
        ['is disabled', [...left, { member: 'm3', enabled: false }], 0],
        ['drains', [...left, { member: 'm3', weight: 0 }], 20],
        ['is removed', left, 20],
      ];
      for (const [what, members, most] of without) {
        await change(port, members);
        const names = await ask();
        t.notOk(names.includes('m3'), `nobody meets a member that ${what}`);
        const moved = first.filter((name, i) => name !== 'm3' && names[i] !== name).length;
        t.ok(moved <= most, `${moved} of 2000 others move when it ${what}`);
      }
      await bed.push(...everything);
      t.strictSame(await ask(), first, 'and all are back when it is');
    });

    t.test(`persistence outlives the round robin over ${family}`, async (t) => {
      const port = persisted.port + offset;
      const ask = async (count: number) => {
        const flows = new Flows(client, vip, port);
        await flows.from({ first: firstSource, count: 100 });
        const { names } = await flows.open(count);
        await flows.stop();
        return names;
      };
      const first = await ask(100);
      t.strictSame(countOf(first), { m1: 34, m2: 33, m3: 33 });
      await ask(7); // puts round robin out of step, had it a say
      t.strictSame(await ask(100), first);

      await change(port, three([0, 1, 1]));
      t.strictSame(await ask(100), first, 'weight 0 keeps its known clients');
      const flows = new Flows(client, vip, port);
      await flows.from({ first: newcomer, count: 20 });
      t.strictSame((await flows.open(20)).members, { m2: 10, m3: 10 }, 'and gets no new ones');
      await flows.stop();

      await change(port, three([0, 1, 1]).slice(1));
      const moved = await ask(100);
      t.notOk(moved.includes('m1'), 'a removed member is nobody’s');
      t.ok(
        first.every((name, i) => name === 'm1' || moved[i] === name),
        'its clients alone move',
      );
      await bed.push(...everything);
    });
  }

  t.test('two VIPs of one load balancer share the listener', async (t) => {
    const first = new Flows(client, VIP.v4, 8007);
    const second = new Flows(client, VIP.second, 8007);
    t.strictSame((await first.open(10)).members, { m1: 5, m2: 5 });
    t.strictSame((await second.open(10)).members, { m1: 5, m2: 5 });
    t.match(await second.check(), { right: 10, wrong: 0, lost: 0 });
    await first.stop();
    await second.stop();
  });

  const udp: ListenerSpec = { fixture: 'a36-udp', port: 5301, members: three([1, 2, 3]) };
  await bed.pushUdp(udp);
  await bed.pushUdp({ ...udp, port: 5302, vips: [VIP.v6] });
  for (const [name, address, port] of [
    ['IPv4', VIP.v4, 5301],
    ['IPv6', VIP.v6, 5302],
  ] as const) {
    t.test(`UDP is spread exactly by weight over ${name}, and a flow stays`, async (t) => {
      const result = await datagrams(client, {
        address,
        port,
        sockets: 60,
        rounds: 5,
        size: 100,
        pauseMs: 20,
      });
      t.match(result, { sent: 300, right: 300, wrong: 0, lost: 0, moved: 0 });
      t.strictSame(countOf(result.names), { m1: 10, m2: 20, m3: 30 });
    });
  }

  t.test('UDP persistence keeps a client’s prefix on one member', async (t) => {
    await bed.pushUdp({ fixture: 'a37-udp-hm-persist', port: 5303, members: three([1, 1, 1]) });
    const ask = async (first: string) => {
      const sources = { first, count: 30 };
      const sent = { address: VIP.v4, port: 5303, sockets: 30, rounds: 1, size: 50, sources };
      return Object.keys(countOf((await datagrams(client, sent)).names));
    };
    t.equal((await ask('198.18.20.1')).length, 1, 'one /24 meets one member');
    const others = await Promise.all([21, 22, 23].map((net) => ask(`198.18.${net}.1`)));
    t.equal(new Set(others.flat()).size, 3, 'other prefixes meet the others');
  });

  t.test('no checksum was wrong at either end', async (t) => {
    for (const namespace of [client, ...Object.values(bed.world.members)]) {
      const counters = await namespace.netstat();
      t.equal(counters.get('TcpInCsumErrors'), 0);
      t.equal(counters.get('UdpInCsumErrors'), 0);
    }
  });
});
