// SPDX-License-Identifier: Apache-2.0
// The agent dies without warning: packets must not care, and its successor must take over what it finds.
import t from 'tap';
import { makeBed } from '../support/bed.js';
import { backwards, counters } from '../support/counters.js';
import type { ListenerSpec } from '../support/load-balancer-config.js';
import { VIP } from '../support/topology.js';
import { datagrams, Flows, startTransfer } from '../support/traffic.js';
import { sleep } from '../support/run.js';

const listener: ListenerSpec = {
  fixture: 'a05-hm-tcp',
  port: 8001,
  members: [{ member: 'm1' }, { member: 'm2' }, { member: 'm3' }],
  check: { interSeconds: 1, fall: 2, rise: 2 },
};
const listener6: ListenerSpec = { ...listener, fixture: 'a01-tcp', port: 8002, vips: [VIP.v6] };
const udp: ListenerSpec = { ...listener, fixture: 'a36-udp', port: 5301 };

t.test('kill -9 of the agent and a restart during transfers', async (t) => {
  const bed = await makeBed(t, { hook: 'xdp', ports: [8001, 8002, 5301] });
  const { client } = bed.world;
  await bed.push(listener, listener6);
  await bed.pushUdp(udp);

  const held = new Flows(client, VIP.v4, 8001);
  t.equal((await held.open(300, { parallel: 20 })).opened, 300);
  const transfers = [
    await startTransfer(client, {
      address: VIP.v4,
      port: 8001,
      direction: 'get',
      count: 5,
      bytes: 6_000_000,
      seconds: 8,
    }),
    await startTransfer(client, {
      address: VIP.v6,
      port: 8002,
      direction: 'put',
      count: 5,
      bytes: 6_000_000,
      seconds: 8,
    }),
  ];
  const stream = datagrams(client, {
    address: VIP.v4,
    port: 5301,
    sockets: 30,
    rounds: 140,
    size: 200,
    pauseMs: 50,
  });
  await sleep(1000);
  const before = await counters(bed);
  await bed.vm.killAgent('SIGKILL');

  const orphan = new Flows(client, VIP.v4, 8001);
  t.equal((await orphan.open(30)).opened, 30, 'new connections are served while no agent runs');
  await orphan.stop();

  const logged = bed.vm.log().length;
  bed.vm.startAgent();
  await bed.controller.waitForAgent();
  t.match(bed.vm.log().slice(logged), /adopt/i, 'the log says that maps were adopted');
  const after = await counters(bed);
  t.ok(before.size > 0, `${before.size} counters compared`);
  t.strictSame(backwards(before, after), [], 'no counter went backwards');

  for (const { result } of transfers) {
    t.match(await result, { complete: 5, mismatch: 0, failed: 0, stalled: 0 });
  }
  t.match(await stream, { sent: 4200, right: 4200, wrong: 0, lost: 0, moved: 0 });
  t.match(await held.check(), { right: 300, wrong: 0, lost: 0, closed: 0 });
  await held.stop();

  const flows = new Flows(client, VIP.v4, 8001);
  t.strictSame((await flows.open(30)).members, { m1: 10, m2: 10, m3: 10 });
  await flows.stop();
  await bed.push({ ...listener, members: listener.members.slice(1) }, listener6);
  const changed = new Flows(client, VIP.v4, 8001);
  t.strictSame((await changed.open(30)).members, { m2: 15, m3: 15 }, 'and the successor obeys');
  await changed.stop();
});
