// SPDX-License-Identifier: Apache-2.0
// An upgrade whose maps have another layout, and back again: connections, counters and the way of new ones go over.
import t from 'tap';
import { makeBed } from '../support/bed.js';
import { backwards, counters } from '../support/counters.js';
import type { ListenerSpec } from '../support/load-balancer-config.js';
import { buildOtherLayout, type LayoutChange } from '../support/other-layout.js';
import { sleep, until } from '../support/run.js';
import { VIP } from '../support/topology.js';
import { datagrams, Flows, startTransfer } from '../support/traffic.js';

const members = [{ member: 'm1' }, { member: 'm2' }, { member: 'm3' }] as const;
const tcp4: ListenerSpec = { fixture: 'a01-tcp', port: 8001, members };
const tcp6: ListenerSpec = { fixture: 'a01-tcp', port: 8002, vips: [VIP.v6], members };
const udp: ListenerSpec = { fixture: 'a36-udp', port: 5301, members };

/** Fields that move, grow, come and go, in records of flows, of counts and of the agent's own. */
const CHANGES: readonly LayoutChange[] = [
  // flow4 and flow6 have it the other way round now
  [
    '\t__u16 mtu;  /* of the egress, 0: unknown */\n\t__u16 vlan; /* TCI to leave with, 0: untagged */\n',
    '\t__u16 vlan;\n\t__u16 mtu;\n',
  ],
  ['\t__u64 spare[2]; /* key', '\t__u64 spare[1];\n\t__u32 colour;\n\t__u32 taste; /* key'],
  [
    '\t__u32 open;	  /* flows established and not closed */\n\t__u32 port_cursor;',
    '\t__u32 port_cursor;\n\t__u32 open;\n\t__u32 sleepers;',
  ],
  [
    '\t__u64 refusals; /* SYNs answered with RST, or not at all before the client repeated */\n',
    '\t__u64 refusals;\n\t__u64 rumours;\n',
  ],
];

for (const hook of ['xdp', 'tc'] as const)
  t.test(`another layout behind ${hook}, under traffic`, async (t) => {
    const program = await buildOtherLayout(t.testdir(), CHANGES);
    const bed = await makeBed(t, { hook, ports: [8001, 8002, 5301] });
    const { client } = bed.world;
    await bed.push(tcp4, tcp6);
    await bed.pushUdp(udp);
    const held = [new Flows(client, VIP.v4, 8001), new Flows(client, VIP.v6, 8002)];
    for (const flows of held) t.equal((await flows.open(300, { parallel: 20 })).opened, 300);

    let before = await counters(bed);
    /** Kills the agent, starts another, with transfers, datagrams and new connections going on. */
    const replace = async (next: string | undefined): Promise<void> => {
      await bed.vm.killAgent('SIGKILL');
      const load = { count: 5, bytes: 6_000_000, seconds: 10 };
      const transfers = [
        await startTransfer(client, { address: VIP.v4, port: 8001, direction: 'get', ...load }),
        await startTransfer(client, { address: VIP.v6, port: 8002, direction: 'put', ...load }),
      ];
      const stream = datagrams(client, {
        ...{ address: VIP.v4, port: 5301, sockets: 30, rounds: 200, size: 200, pauseMs: 50 },
      });
      const logged = bed.vm.log().length;
      bed.vm.startAgent(false, next);
      const comers = new Flows(client, VIP.v4, 8001);
      let arrived = 0;
      const isReady = bed.controller.waitForAgent().then(() => true);
      while (!(await Promise.race([isReady, sleep(20).then(() => false)]))) {
        t.match(await comers.open(5, { timeoutMs: 30_000 }), { opened: 5, refused: 0, timeout: 0 });
        arrived += 5;
      }
      t.match(bed.vm.log().slice(logged), /flows of another layout carried over/);
      t.match(await comers.check(), { right: arrived, wrong: 0, lost: 0, closed: 0 });
      await comers.stop();
      for (const { result } of transfers)
        t.match(await result, { complete: 5, mismatch: 0, failed: 0, stalled: 0 });
      t.match(await stream, { sent: 6000, right: 6000, wrong: 0, lost: 0, moved: 0 });
      for (const flows of held)
        t.match(await flows.check(), { right: 300, wrong: 0, lost: 0, closed: 0 });
      const fresh = new Flows(client, VIP.v6, 8002);
      t.strictSame((await fresh.open(30)).members, { m1: 10, m2: 10, m3: 10 });
      await fresh.stop();
      const after = await counters(bed);
      t.strictSame(backwards(before, after), [], 'no counter went backwards');
      before = after;
    };

    await t.test('to the other', async (t) => {
      await replace(program);
      t.end();
    });
    await t.test('and back, with an agent that dies half-way', async (t) => {
      await bed.vm.killAgent('SIGKILL');
      const logged = bed.vm.log().length;
      bed.vm.startAgent();
      await until('the agent begins', async () =>
        bed.vm.log().slice(logged).includes('maps of another layout found'),
      );
      await replace(undefined);
      t.end();
    });
    for (const flows of held) await flows.stop();
  });
