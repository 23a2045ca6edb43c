// SPDX-License-Identifier: Apache-2.0
// Much at once: 100,000 open flows, and a SYN flood over running transfers.
import t from 'tap';
import { makeBed } from '../support/bed.js';
import type { ListenerSpec } from '../support/load-balancer-config.js';
import { PORTS, ROUTER_MAC, VIP } from '../support/topology.js';
import { Flows, flood, startTransfer } from '../support/traffic.js';

const listener: ListenerSpec = {
  fixture: 'a01-tcp',
  port: 8001,
  members: [{ member: 'm1' }, { member: 'm2' }, { member: 'm3' }],
  // 100,000 flows must not die of idleness while they are opened.
  timeouts: { clientMs: 600_000, connectMs: 5000, serverMs: 600_000 },
  connectionLimit: 1_000_000,
};
const listener6: ListenerSpec = { ...listener, port: 8002, vips: [VIP.v6] };

t.test('much at once', async (t) => {
  const bed = await makeBed(t, { hook: 'xdp', ports: [8001, 8002], workers: 3 });
  const { client, router, members } = bed.world;
  await bed.push(listener, listener6);

  let held: Flows | undefined; // some of the first test's flows, idle through the second

  t.test('100,000 flows are open at once and none is misdelivered', async (t) => {
    const holders = [0, 1, 2, 3, 4, 5].map((i) =>
      i % 2 === 0
        ? { flows: new Flows(client, VIP.v4, 8001), first: `198.18.${i}.1` }
        : { flows: new Flows(client, VIP.v6, 8002), first: `2001:db8:c1::${i}:1` },
    );
    const opened = await Promise.all(
      holders.map(async ({ flows, first }, i) => {
        await flows.from({ first, count: 10 });
        return flows.open(i < 4 ? 16_667 : 16_666, { parallel: 100, timeoutMs: 20_000 });
      }),
    );
    t.equal(
      opened.reduce((sum, each) => sum + each.opened, 0),
      100_000,
    );
    const stats = [];
    for (const server of bed.servers.values()) stats.push(await server.stats());
    t.equal(
      stats.reduce((sum, each) => sum + each.open, 0),
      100_000,
      'all at once at the members',
    );
    const checked = [];
    for (const { flows } of holders) checked.push(await flows.check());
    t.equal(
      checked.reduce((sum, each) => sum + each.right, 0),
      100_000,
    );
    t.equal(
      checked.reduce((sum, each) => sum + each.wrong + each.lost + each.closed, 0),
      0,
    );
    await Promise.all(holders.slice(1).map(({ flows }) => flows.stop()));
    held = holders[0]?.flows;
  });

  t.test('1,000,000 SYNs from random sources leave 100 transfers whole', async (t) => {
    const transfers = [
      await startTransfer(client, {
        address: VIP.v4,
        port: 8001,
        direction: 'get',
        count: 50,
        bytes: 2_000_000,
        seconds: 18,
      }),
      await startTransfer(client, {
        address: VIP.v4,
        port: 8001,
        direction: 'put',
        count: 50,
        bytes: 2_000_000,
        seconds: 18,
      }),
    ];
    const sent = await flood(router, {
      interface: 'vip',
      sourceMac: ROUTER_MAC,
      targetMac: PORTS.vip.mac,
      address: VIP.v4,
      port: 8001,
      count: 1_000_000,
      perSecond: 50_000,
    });
    t.equal(sent.sent, 1_000_000);
    t.comment(`flood took ${sent.milliseconds} ms`);
    for (const { result } of transfers) {
      t.comment(`transfers took ${(await result).milliseconds} ms`);
      t.match(await result, { complete: 50, mismatch: 0, failed: 0, stalled: 0 });
    }
    t.match(
      await held?.check(),
      { right: 16_667, wrong: 0, lost: 0, closed: 0 },
      'and all that were open',
    );
    const after = new Flows(client, VIP.v4, 8001);
    t.equal((await after.open(30, { timeoutMs: 8000 })).opened, 30, 'and new clients are served');
    await after.stop();
    await held?.stop();
  });

  t.test('no checksum was wrong at either end', async (t) => {
    for (const namespace of [client, ...Object.values(members)]) {
      t.equal((await namespace.netstat()).get('TcpInCsumErrors'), 0);
    }
  });
});
