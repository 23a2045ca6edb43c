// SPDX-License-Identifier: Apache-2.0
// A change of one member among 200, on 50 listeners, through the API: what it writes, and that nobody else notices.
import t from 'tap';
import type { Status } from '../../agent/core/report/status.js';
import { makeBed } from '../support/bed.js';
import type { ListenerSpec, MemberSpec } from '../support/load-balancer-config.js';
import { VIP } from '../support/topology.js';
import { datagrams, Flows } from '../support/traffic.js';

const MEMBERS: readonly MemberSpec[] = [
  ...[{ member: 'm1' }, { member: 'm2' }, { member: 'm3' }, { member: 'm4' }],
] as const;
const range = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => first + i);
const TCP_PORTS = range(8001, 45);
const UDP_PORTS = range(5301, 5);
const tcp = TCP_PORTS.map((port): ListenerSpec => ({ fixture: 'a01-tcp', port, members: MEMBERS }));
const udp = UDP_PORTS.map((port): ListenerSpec => ({ fixture: 'a36-udp', port, members: MEMBERS }));
const [changing, ...others] = tcp;
if (changing === undefined) throw new Error('no listener');

const [first, ...rest] = MEMBERS;
if (first === undefined) throw new Error('no member');
/** What becomes of one member, and what the maps are told. */
const changes: readonly (readonly [string, readonly MemberSpec[], Record<string, number>])[] = [
  ['another weight', [{ ...first, weight: 3 }, ...rest], { pool_slots: 1 }],
  ['disabled', [{ ...first, enabled: false }, ...rest], { members: 1, pool_slots: 1 }],
  ['enabled', MEMBERS, { members: 1, pool_slots: 1 }],
  ['removed', rest, { members: 1, pool_slots: 1 }],
  ['added', MEMBERS, { members: 1, pool_slots: 1 }],
  [
    'one more than before',
    [...MEMBERS, { member: 'm5' }],
    // Negative answers on next hops are forgotten: the newcomer may be reached by now.
    { members: 1, pool_slots: 1, control: 1 },
  ],
];

t.test('50 listeners, 200 members, one change at a time', async (t) => {
  const bed = await makeBed(t, { hook: 'xdp', ports: [...TCP_PORTS, ...UDP_PORTS] });
  const { client } = bed.world;
  const status = async (): Promise<Status> =>
    JSON.parse(await bed.vm.ctl('status', '--json')) as Status;
  await bed.push(...tcp);
  for (const one of udp) await bed.pushUdp(one);
  const { listeners } = await status();
  t.equal(listeners.length, 50);
  t.equal(listeners.flatMap(({ pools }) => pools.flatMap((pool) => pool.members)).length, 200);
  t.ok(
    listeners.every(({ engine }) => engine === 'datapath'),
    'all in the datapath',
  );

  const held = others.map(({ port }) => new Flows(client, VIP.v4, port));
  for (const flows of held) t.equal((await flows.open(8)).opened, 8);
  const streams = udp.map(({ port }) =>
    datagrams(client, { address: VIP.v4, port, sockets: 20, rounds: 200, size: 200, pauseMs: 50 }),
  );

  for (const [what, members, wanted] of changes) {
    const { mapWrites: before } = await status();
    await bed.push({ ...changing, members }, ...others);
    const { mapWrites: after } = await status();
    const written = Object.fromEntries(
      Object.entries(after)
        .map(([map, count]) => [map, count - (before[map] ?? 0)] as const)
        .filter(([, count]) => count > 0),
    );
    t.strictSame(written, wanted, `${what}: ${JSON.stringify(written)}`);
    const checked = await Promise.all(held.map((flows) => flows.check(3)));
    t.equal(
      checked.reduce((sum, { right }) => sum + right, 0),
      44 * 8 * 3,
      'every echo came back',
    );
    const harmed = checked.filter(({ wrong, lost, closed }) => wrong + lost + closed > 0);
    t.strictSame(harmed, [], 'on the connection that it belongs to');
  }

  for (const stream of await Promise.all(streams)) {
    t.match(stream, { sent: 4000, right: 4000, wrong: 0, lost: 0, moved: 0 });
  }
  const flows = new Flows(client, VIP.v4, changing.port);
  t.strictSame((await flows.open(10)).members, { m1: 2, m2: 2, m3: 2, m4: 2, m5: 2 });
  await flows.stop();
  await Promise.all(held.map((one) => one.stop()));
});
