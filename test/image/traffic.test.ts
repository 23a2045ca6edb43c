// SPDX-License-Identifier: Apache-2.0
// TCP and UDP through the amphora's own kernel: by XDP on virtio-net, and by tc.
import t from 'tap';
import { countOf } from '../support/bed.js';
import { makeImageBed } from '../support/image/image-bed.js';
import type { ListenerSpec, MemberSpec } from '../support/load-balancer-config.js';
import { VIP } from '../support/topology.js';
import { datagrams, Flows, transfer } from '../support/traffic.js';

const members: readonly MemberSpec[] = [{ member: 'm1' }, { member: 'm2' }, { member: 'm3' }];
const tcp4: ListenerSpec = { fixture: 'a01-tcp', port: 8080, members };
const tcp6: ListenerSpec = { fixture: 'a01-tcp', port: 8081, vips: [VIP.v6], members };
const udp4: ListenerSpec = { fixture: 'a36-udp', port: 5300, members };
const udp6: ListenerSpec = { fixture: 'a36-udp', port: 5301, vips: [VIP.v6], members };
const FAMILIES = [
  ['IPv4', VIP.v4, tcp4.port, udp4.port],
  ['IPv6', VIP.v6, tcp6.port, udp6.port],
] as const;

for (const hook of ['auto', 'tc'] as const) {
  t.test(`traffic with hook = ${hook}`, async (t) => {
    const ports = [tcp4, tcp6, udp4, udp6].map(({ port }) => port);
    const bed = await makeImageBed(t, { hook, ports });
    const { client } = bed.world;
    await bed.push(tcp4, tcp6);
    await bed.pushLvs(udp4);
    await bed.pushLvs(udp6);
    const links = await bed.vm.shell.run(
      'nsenter --net=/run/netns/amphora-haproxy ip -d link show dev eth1',
    );
    if (hook === 'auto') t.match(links, / xdp qdisc [^]*prog\/xdp/, 'native XDP on virtio-net');
    else t.notMatch(links, /prog\/xdp/);

    for (const [family, vip, tcpPort, udpPort] of FAMILIES) {
      t.test(`TCP over ${family}`, async (t) => {
        const flows = new Flows(client, vip, tcpPort);
        const opened = await flows.open(30, { parallel: 5, timeoutMs: 60_000 });
        t.strictSame(opened.members, { m1: 10, m2: 10, m3: 10 });
        t.match(await flows.check(3), { wrong: 0, lost: 0, closed: 0 });
        await flows.stop();
        for (const direction of ['get', 'put'] as const) {
          const spec = { address: vip, port: tcpPort, direction, count: 3, bytes: 1_000_000 };
          t.match(await transfer(client, spec), { complete: 3, mismatch: 0, failed: 0 });
        }
      });
      t.test(`UDP over ${family}`, async (t) => {
        const spec = {
          address: vip,
          port: udpPort,
          sockets: 30,
          rounds: 5,
          size: 512,
          pauseMs: 50,
        };
        const result = await datagrams(client, spec);
        t.match(result, { sent: 150, right: 150, wrong: 0, lost: 0, moved: 0 });
        t.strictSame(countOf(result.names), { m1: 10, m2: 10, m3: 10 });
      });
    }

    t.test('no checksum was wrong at either end', async (t) => {
      for (const namespace of [client, ...Object.values(bed.world.members)]) {
        const counters = await namespace.netstat();
        t.equal(counters.get('TcpInCsumErrors'), 0);
        t.equal(counters.get('UdpInCsumErrors'), 0);
      }
    });
  });
}
