// SPDX-License-Identifier: Apache-2.0
// Changes while traffic runs: nobody whom they do not concern may notice.
import t from 'tap';
import { makeBed } from '../support/bed.js';
import { listenerId, type ListenerSpec } from '../support/load-balancer-config.js';
import { VIP } from '../support/topology.js';
import { datagrams, Flows, startTransfer } from '../support/traffic.js';
import { sleep } from '../support/run.js';
import type { Namespace } from '../support/netns.js';

const steady: ListenerSpec = {
  fixture: 'a01-tcp',
  port: 8001,
  members: [{ member: 'm1' }, { member: 'm2' }, { member: 'm3' }],
};
const steady6: ListenerSpec = { ...steady, port: 8002, vips: [VIP.v6] };
const other: ListenerSpec = { ...steady, port: 8003 };
const udp: ListenerSpec = { ...steady, fixture: 'a36-udp', port: 5301 };

t.test('changes under traffic', async (t) => {
  const bed = await makeBed(t, { hook: 'xdp', ports: [8001, 8002, 8003, 5301, 5302] });
  const { client, members } = bed.world;
  await bed.push(steady, steady6, other);
  await bed.pushUdp(udp);

  t.test('a draining member finishes its transfers and gets no new connection', async (t) => {
    const transfers = await Promise.all(
      (
        [
          [VIP.v4, 8001, 'get'],
          [VIP.v6, 8002, 'put'],
        ] as const
      ).map(([address, port, direction]) =>
        startTransfer(client, { address, port, direction, count: 6, bytes: 4_000_000, seconds: 3 }),
      ),
    );
    await sleep(500);
    const drained = steady.members.map((spec) =>
      spec.member === 'm1' ? { ...spec, weight: 0 } : spec,
    );
    await bed.push({ ...steady, members: drained }, { ...steady6, members: drained }, other);
    const flows = new Flows(client, VIP.v4, 8001);
    t.strictSame((await flows.open(20)).members, { m2: 10, m3: 10 });
    await flows.stop();
    for (const { result } of transfers) {
      const { complete, mismatch, failed, stalled, members: served } = await result;
      t.strictSame(
        { complete, mismatch, failed, stalled },
        { complete: 6, mismatch: 0, failed: 0, stalled: 0 },
      );
      t.strictSame(served, { m1: 2, m2: 2, m3: 2 }, 'each where it began');
    }
    await bed.push(steady, steady6, other);
  });

  t.test('unrelated changes lose no packet and no connection of 1,000', async (t) => {
    const flows = new Flows(client, VIP.v4, 8001);
    const flows6 = new Flows(client, VIP.v6, 8002);
    t.equal((await flows.open(500, { parallel: 50 })).opened, 500);
    t.equal((await flows6.open(500, { parallel: 50 })).opened, 500);
    const before = await retransmissions([client, ...Object.values(members)]);
    const load = Promise.all([
      flows.check(25, 200),
      flows6.check(25, 200),
      datagrams(client, {
        address: VIP.v4,
        port: 5301,
        sockets: 100,
        rounds: 100,
        size: 200,
        pauseMs: 50,
      }),
    ]);
    for (let round = 1; round <= 4; round += 1) {
      const weighted = other.members.map((spec, i) => ({ ...spec, weight: round + i }));
      await bed.push(steady, steady6, { ...other, members: weighted.slice(round % 2) });
      await bed.push(steady, steady6, other, { ...other, port: 8004 });
      await bed.pushUdp({ ...udp, port: 5302, members: weighted });
      await bed.controller.must('DELETE', `/1.0/listeners/${listenerId(5302)}`);
    }
    const [v4, v6, datagramResult] = await load;
    t.match(v4, { right: 12_500, wrong: 0, lost: 0, closed: 0 });
    t.match(v6, { right: 12_500, wrong: 0, lost: 0, closed: 0 });
    t.match(datagramResult, { sent: 10_000, right: 10_000, wrong: 0, lost: 0, moved: 0 });
    const after = await retransmissions([client, ...Object.values(members)]);
    t.equal(after - before, 0, 'no segment was sent twice');
    await flows.stop();
    await flows6.stop();
    await bed.push(steady, steady6, other);
  });

  t.test('changed weights rule the next connection and leave the open ones', async (t) => {
    const flows = new Flows(client, VIP.v4, 8003);
    t.strictSame((await flows.open(30)).members, { m1: 10, m2: 10, m3: 10 });
    const weights = [1, 2, 3];
    const members = other.members.map((spec, i) => ({ ...spec, weight: weights[i] ?? 1 }));
    await bed.push(steady, steady6, { ...other, members });
    t.strictSame((await flows.open(60)).members, { m1: 10, m2: 20, m3: 30 });
    t.match(await flows.check(3), { right: 270, wrong: 0, lost: 0, closed: 0 });
    await flows.stop();
  });

  t.test('a refused config leaves everything as it was', async (t) => {
    const flows = new Flows(client, VIP.v4, 8001);
    await flows.open(10);
    const path = `/1.0/loadbalancer/x/0000beef-0000-4000-8000-000000000000/haproxy`;
    const answer = await bed.controller.call(
      'PUT',
      path,
      'global\n  lua-load /tmp/evil.lua\nglobal\n',
    );
    t.equal(answer.status, 400);
    t.equal((await flows.open(10)).opened, 10);
    t.match(await flows.check(), { right: 20, wrong: 0, lost: 0, closed: 0 });
    await flows.stop();
  });
});

/** Segments sent again by all these stacks together, ever. */
const retransmissions = async (namespaces: readonly Namespace[]): Promise<number> => {
  const counters = await Promise.all(namespaces.map((namespace) => namespace.netstat()));
  return counters.reduce((sum, each) => sum + (each.get('TcpRetransSegs') ?? 0), 0);
};
