// SPDX-License-Identifier: Apache-2.0
// Places a member can be, and packets that do not fit: path MTU, fragments, hairpin, ICMP.
import t from 'tap';
import { makeBed } from '../support/bed.js';
import type { ListenerSpec } from '../support/load-balancer-config.js';
import { VIP, type MemberName } from '../support/topology.js';
import { datagrams, Flows, transfer } from '../support/traffic.js';
import { sleep } from '../support/run.js';

const on = (port: number, ...members: MemberName[]): ListenerSpec => ({
  fixture: 'a01-tcp',
  port,
  members: members.map((member) => ({ member })),
});
const FAMILIES = [
  ['IPv4', VIP.v4, 0],
  ['IPv6', VIP.v6, 100],
] as const;

/** Each listener on its port for IPv4 and 100 above for IPv6. */
const inBothFamilies = (specs: readonly ListenerSpec[]): ListenerSpec[] =>
  specs.flatMap((spec) =>
    FAMILIES.map(([, vip, offset]) => ({ ...spec, port: spec.port + offset, vips: [vip] })),
  );

const listeners = inBothFamilies([on(8001, 'm5'), on(8002, 'm6'), on(8003, 'm1'), on(8004, 'm4')]);
const udp: ListenerSpec = {
  fixture: 'a36-udp',
  port: 5301,
  members: [{ member: 'm1' }, { member: 'm2' }],
};
const udpListeners = inBothFamilies([
  udp,
  { ...udp, port: 5302, members: [{ member: 'm5' }] },
  { ...udp, port: 5303, members: [{ member: 'm6' }] },
]);

t.test('members in all places', async (t) => {
  const ports = [...listeners, ...udpListeners].map(({ port }) => port);
  const bed = await makeBed(t, { hook: 'xdp', ports });
  const { client, members } = bed.world;
  await bed.push(...listeners);
  for (const spec of udpListeners) await bed.pushUdp(spec);

  for (const [family, address, offset] of FAMILIES) {
    const move = (port: number, direction: 'get' | 'put') =>
      transfer(client, { address, port: port + offset, direction, count: 1, bytes: 1_000_000 });

    t.test(
      `a 1 MB upload passes a path MTU of 1400 behind the member over ${family}`,
      async (t) => {
        t.match(await move(8001, 'put'), { complete: 1, members: { m5: 1 } });
        const route = await client.exec('ip', 'route', 'get', address);
        t.match(route, /mtu 1400/, 'the ICMP error came through the VIP');
        t.match(await move(8001, 'put'), { complete: 1 });
      },
    );

    t.test(`a member network of MTU 1400 is no obstacle over ${family}`, async (t) => {
      t.match(await move(8002, 'put'), { complete: 1, members: { m6: 1 } });
      t.match(await move(8002, 'get'), { complete: 1, members: { m6: 1 } });
    });

    t.test(`a member on the VIP's own network over ${family}`, async (t) => {
      t.match(await move(8004, 'put'), { complete: 1, members: { m4: 1 } });
      t.match(await move(8004, 'get'), { complete: 1, members: { m4: 1 } });
    });

    t.test(`a member can be its own client over ${family}`, async (t) => {
      for (const [member, port] of [
        ['m1', 8003],
        ['m4', 8004],
      ] as const) {
        const flows = new Flows(members[member], address, port + offset);
        t.strictSame((await flows.open(10, { parallel: 5 })).members, { [member]: 10 });
        t.match(await flows.check(3), { right: 30, wrong: 0, lost: 0, closed: 0 });
        await flows.stop();
        const spec = {
          address,
          port: port + offset,
          direction: 'put',
          count: 1,
          bytes: 300_000,
        } as const;
        t.match(await transfer(members[member], spec), { complete: 1 });
      }
    });

    t.test(`datagrams of 3,000 bytes arrive over ${family}`, async (t) => {
      const spec = {
        address,
        port: 5301 + offset,
        sockets: 20,
        rounds: 10,
        size: 3000,
        pauseMs: 20,
      };
      t.match(await datagrams(client, spec), {
        ...{ sent: 200, right: 200, wrong: 0, lost: 0, moved: 0 },
        members: { m1: 100, m2: 100 },
      });
    });

    t.test(`datagrams of 3,000 bytes arrive behind small MTUs over ${family}`, async (t) => {
      for (const port of [5302, 5303]) {
        const spec = {
          address,
          port: port + offset,
          sockets: 5,
          rounds: 4,
          size: 3000,
          pauseMs: 100,
        };
        await datagrams(client, { ...spec, rounds: 2 }); // the first may be lost to path MTU discovery
        t.match(await datagrams(client, spec), { sent: 20, right: 20, wrong: 0, lost: 0 });
      }
    });

    t.test(`the kernel answers ping to the VIP over ${family}`, async (t) => {
      const answer = await client.exec('ping', '-c', '3', '-i', '0.1', '-W', '1', address);
      t.match(answer, / 3 received/);
    });
  }

  t.test('a closed UDP port is told to the client', async (t) => {
    await bed.pushUdp({ ...udp, port: 5304, members: [{ member: 'm1' }] });
    const result = await datagrams(client, {
      address: VIP.v4,
      port: 5304,
      sockets: 1,
      rounds: 3,
      size: 50,
      pauseMs: 200,
    });
    t.ok(result.refused > 0, 'the ICMP error was translated back', result);
  });

  t.test('answers leave by the table of the VIP, whatever the main one says', async (t) => {
    const { vm } = bed;
    const main = await vm.execTenant('ip', '-4', 'route', 'show', 'default');
    t.match(main, 'default via 10.0.0.1');
    while ((await vm.execTenant('ip', '-4', 'route', 'show', 'default')) !== '') {
      await vm.execTenant('ip', '-4', 'route', 'del', 'default');
    }
    await sleep(700); // the agent has heard of it by then
    const spec = {
      address: VIP.v4,
      port: 8003,
      direction: 'get',
      count: 4,
      bytes: 10_000,
    } as const;
    t.match(await transfer(client, spec), { complete: 4 });
  });

  t.test('no checksum was wrong at either end', async (t) => {
    for (const namespace of [client, ...Object.values(members)]) {
      const counters = await namespace.netstat();
      t.equal(counters.get('TcpInCsumErrors'), 0);
      t.equal(counters.get('UdpInCsumErrors'), 0);
      t.equal(counters.get('Udp6InCsumErrors'), 0);
      t.equal(counters.get('IcmpInCsumErrors'), 0);
    }
  });
});
