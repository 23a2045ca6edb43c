// SPDX-License-Identifier: Apache-2.0
// An amphora with everything in it: keepalived, HAProxy, a port with DHCP, listeners of both engines. The agent that
// sets them up is the confined one of the image. Then the power is cut, and nobody says a word.
import t from 'tap';
import { startDhcpServer } from '../support/dhcp-server.js';
import { Heartbeats } from '../support/heartbeats.js';
import { BOOT_MS, makeImageBed, type Booted } from '../support/image/image-bed.js';
import { startHttpMembers, untilHttp, untilTcp, untilUdp } from '../support/image/serving.js';
import { listenerId, type ListenerSpec, type MemberSpec } from '../support/load-balancer-config.js';
import { MASTER, plugVip, VRRP, vrrpConfig } from '../support/pair.js';
import { ended, until } from '../support/run.js';
import { PORTS, VIP } from '../support/topology.js';

const KEY = 'insecure-test-key';
const members: readonly MemberSpec[] = [{ member: 'm1' }, { member: 'm2' }];
const tcp: ListenerSpec = { fixture: 'a01-tcp', port: 8080, members };
const http: ListenerSpec = { fixture: 'a16-http', port: 8090, members };
const udp: ListenerSpec = { fixture: 'a36-udp', port: 5300, members };
/** Leases are 10.1.0.150 to 159. */
const FIRST_LEASE = 150;

const becomeMaster = async ({ vm, controller }: Booted): Promise<void> => {
  const config = await vm.shell.run('cat /etc/octavia/amphora-agent.conf');
  const topology = config.replace(/(loadbalancer_topology = ).*/, '$1ACTIVE_STANDBY');
  await controller.must('PUT', '/1.0/config', topology);
  await vm.plug('vip', PORTS.vip.mac);
  await plugVip(controller, MASTER);
  await vm.plug('member', PORTS.member.mac);
  await controller.must('POST', '/1.0/plug/network', { mac_address: PORTS.member.mac });
  await controller.must('PUT', '/1.0/vrrp/upload', vrrpConfig(VRRP.master));
  await controller.must('PUT', '/1.0/vrrp/start');
};

t.test('an amphora with everything in it', async (t) => {
  const ports = [tcp.port, udp.port];
  const bed = await makeImageBed(t, { hook: 'auto', ports, plug: becomeMaster });
  const { world, vm, controller } = bed;
  const { client } = world;
  startHttpMembers(t, world, http.port);
  const dhcp = startDhcpServer(world, FIRST_LEASE);
  t.teardown(async () => {
    dhcp.kill('SIGKILL');
    await ended(dhcp);
  });
  const heartbeats = await Heartbeats.start(world.management, [5555], [KEY]);
  t.teardown(() => heartbeats.stop());
  const addresses = (): Promise<string> =>
    vm.shell.run('nsenter --net=/run/netns/amphora-haproxy ip -o address show');
  const has = (what: string, pattern: RegExp, timeoutMs: number): Promise<true> =>
    until(what, async () => pattern.test(await addresses()), timeoutMs);
  const servesAll = async (timeoutMs: number): Promise<void> => {
    await untilTcp(client, tcp.port, timeoutMs);
    await untilUdp(client, udp.port, timeoutMs);
    await untilHttp(client, http.port, timeoutMs);
  };

  t.test('it is set up', async (t) => {
    await bed.push(tcp, http);
    await bed.pushLvs(udp);
    await has('keepalived takes the VIP', new RegExp(` eth1 .*${VIP.v4}/32 `), 300_000);
    await has('the member port has a lease', / eth2 +inet 10\.1\.0\.15\d\/24 /, 300_000);
    await servesAll(300_000);
    const units = await vm.shell.run('systemctl list-units --plain --no-legend --type=service');
    for (const unit of ['octavia-keepalived', 'haproxy-', 'amphora-dhcp-eth2', 'amphora-agent']) {
      t.match(units, new RegExp(`^${unit}\\S* +loaded +active +running`, 'm'), unit);
    }
    t.equal(await vm.shell.run('systemctl --failed --plain --no-legend'), '', 'nothing has failed');
  });

  t.test('after a power cut it serves again, without a word from the controller', async (t) => {
    await vm.shell.run('sync');
    await vm.reset();
    await servesAll(BOOT_MS);
    t.pass('TCP, UDP and HTTP');
    await vm.shell.wait(BOOT_MS);
    t.match(await addresses(), new RegExp(` eth1 .*${VIP.v4}/32 `), 'keepalived has the VIP');
    t.match(await addresses(), / eth2 +inet 10\.1\.0\.15\d\/24 /, 'the member port has a lease');
    const { message, key } = await heartbeats.next(
      'a heartbeat of all listeners',
      ({ message }) => Object.keys(message.listeners).length === 3,
      BOOT_MS,
    );
    t.equal(key, KEY);
    for (const { port } of [tcp, http, udp]) {
      t.match(message.listeners[listenerId(port)], { status: 'OPEN' }, `listener ${port}`);
    }
    const { body } = await controller.must('GET', '/1.0/listeners');
    t.equal(body.match(/ACTIVE/g)?.length, 3, body);
    t.equal(await vm.shell.run('systemctl --failed --plain --no-legend'), '', 'nothing has failed');
  });
});
