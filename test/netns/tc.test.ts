// SPDX-License-Identifier: Apache-2.0
// The same path at the tc hook, with segmentation and checksum offload left on at every sender.
import t from 'tap';
import { countOf, makeBed } from '../support/bed.js';
import type { ListenerSpec } from '../support/load-balancer-config.js';
import { CLIENT, VIP } from '../support/topology.js';
import { datagrams, Flows, startTransfer, transfer } from '../support/traffic.js';
import { sleep } from '../support/run.js';

const weighted: ListenerSpec = {
  fixture: 'a02-weights',
  port: 8001,
  members: [
    { member: 'm1', weight: 1 },
    { member: 'm2', weight: 3 },
    { member: 'm3', weight: 7 },
  ],
};
const far: ListenerSpec = { fixture: 'a01-tcp', port: 8002, members: [{ member: 'm5' }] };
const own: ListenerSpec = { ...far, port: 8003, members: [{ member: 'm1' }] };
const small: ListenerSpec = { ...far, port: 8004, members: [{ member: 'm6' }] };
const near: ListenerSpec = { ...far, port: 8005, members: [{ member: 'm4' }] };
const udp: ListenerSpec = { ...weighted, fixture: 'a36-udp', port: 5301 };
const FAMILIES = [
  ['IPv4', VIP.v4, 0],
  ['IPv6', VIP.v6, 100],
] as const;
const inBothFamilies = (specs: readonly ListenerSpec[]): ListenerSpec[] =>
  specs.flatMap((spec) =>
    FAMILIES.map(([, vip, offset]) => ({ ...spec, port: spec.port + offset, vips: [vip] })),
  );

t.test('traffic through tc', async (t) => {
  const listeners = inBothFamilies([weighted, far, own, small, near]);
  const udpListeners = inBothFamilies([udp]);
  const ports = [...listeners, ...udpListeners].map(({ port }) => port);
  const bed = await makeBed(t, { hook: 'tc', ports });
  const { client, members } = bed.world;
  await bed.push(...listeners);
  for (const spec of udpListeners) await bed.pushUdp(spec);

  t.test('senders do hand over large segments without checksums', async (t) => {
    const features = await client.exec('ethtool', '-k', 'eth0');
    t.match(features, /tcp-segmentation-offload: on/);
    t.match(features, /tx-checksumming: on/);
  });

  for (const [family, address, offset] of FAMILIES) {
    t.test(`round robin is exact by weight over ${family}`, async (t) => {
      const flows = new Flows(client, address, 8001 + offset);
      t.strictSame((await flows.open(110)).members, { m1: 10, m2: 30, m3: 70 });
      t.match(await flows.check(3), { right: 330, wrong: 0, lost: 0, closed: 0 });
      await flows.stop();
      const spec = {
        address,
        port: 5301 + offset,
        sockets: 110,
        rounds: 3,
        size: 100,
        pauseMs: 20,
      };
      const result = await datagrams(client, spec);
      t.match(result, { right: 330, wrong: 0, lost: 0, moved: 0 });
      t.strictSame(countOf(result.names), { m1: 10, m2: 30, m3: 70 });
    });

    t.test(`bulk transfers are whole over ${family}`, async (t) => {
      for (const direction of ['get', 'put'] as const) {
        const spec = { address, port: 8001 + offset, direction, count: 11, bytes: 10_000_000 };
        t.match(await transfer(client, spec), { complete: 11, mismatch: 0, failed: 0, stalled: 0 });
      }
    });

    t.test(`members in all places over ${family}`, async (t) => {
      for (const [port, member] of [
        [8002, 'm5'],
        [8004, 'm6'],
        [8005, 'm4'],
      ] as const) {
        const spec = {
          address,
          port: port + offset,
          direction: 'put',
          count: 1,
          bytes: 1_000_000,
        } as const;
        t.match(await transfer(client, spec), { complete: 1, members: { [member]: 1 } }, member);
      }
      const flows = new Flows(members.m1, address, 8003 + offset);
      t.strictSame((await flows.open(10)).members, { m1: 10 }, 'hairpin');
      t.match(await flows.check(3), { right: 30, wrong: 0, lost: 0, closed: 0 });
      await flows.stop();
    });

    t.test(`datagrams of 3,000 bytes arrive over ${family}`, async (t) => {
      const spec = {
        address,
        port: 5301 + offset,
        sockets: 11,
        rounds: 10,
        size: 3000,
        pauseMs: 20,
      };
      t.match(await datagrams(client, spec), {
        sent: 110,
        right: 110,
        wrong: 0,
        lost: 0,
        moved: 0,
      });
    });
  }

  t.test('a drain and a restart of the agent leave transfers whole', async (t) => {
    const spec = {
      address: VIP.v4,
      port: 8001,
      direction: 'get',
      count: 11,
      bytes: 5_000_000,
    } as const;
    const { result } = await startTransfer(client, {
      ...spec,
      seconds: 5,
      sources: { first: CLIENT.first4, count: 11 },
    });
    await sleep(300);
    const drained = weighted.members.map((each) =>
      each.member === 'm3' ? { ...each, weight: 0 } : each,
    );
    await bed.push(
      ...listeners.map((each) => (each.port === 8001 ? { ...each, members: drained } : each)),
    );
    await bed.vm.killAgent('SIGKILL');
    bed.vm.startAgent();
    await bed.controller.waitForAgent();
    const flows = new Flows(client, VIP.v4, 8001);
    t.strictSame((await flows.open(8)).members, { m1: 2, m2: 6 });
    await flows.stop();
    t.match(await result, { complete: 11, mismatch: 0, failed: 0, stalled: 0, members: { m3: 7 } });
  });

  t.test('no checksum was wrong at either end', async (t) => {
    for (const namespace of [client, ...Object.values(members)]) {
      const counters = await namespace.netstat();
      t.equal(counters.get('TcpInCsumErrors'), 0);
      t.equal(counters.get('UdpInCsumErrors'), 0);
    }
  });
});
