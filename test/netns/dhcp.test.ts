// SPDX-License-Identifier: Apache-2.0
// A port that is plugged without fixed addresses: DHCP and router advertisements of a real server (contract 1.5, 7).
import type { ChildProcess } from 'node:child_process';
import t, { type Test } from 'tap';
import { AmphoraVm } from '../support/amphora-vm.js';
import { Controller } from '../support/controller.js';
import { startDhcpServer } from '../support/dhcp-server.js';
import { LOAD_BALANCER, renderLoadBalancer } from '../support/load-balancer-config.js';
import { ended, until } from '../support/run.js';
import { FAR, NETWORKS, PORTS, VIP } from '../support/topology.js';
import { Flows, Server } from '../support/traffic.js';
import { createWorld, type World } from '../support/world.js';

const PORT = 8001;

const serve = (t: Test, world: World, first: number): ChildProcess => {
  const child = startDhcpServer(world, first);
  t.teardown(() => child.kill('SIGKILL'));
  return child;
};

t.test('DHCP and autoconfiguration', async (t) => {
  const world = await createWorld();
  t.teardown(() => world.remove());
  const vm = await AmphoraVm.boot(world, { hook: 'xdp' });
  t.teardown(async () => {
    if (!t.passing()) t.comment(vm.log());
    await vm.destroy();
  });
  vm.startAgent();
  const controller = new Controller(world);
  t.teardown(() => controller.close());
  for (const member of ['m1', 'm2'] as const) {
    const server = await Server.start(world.members[member], member, [PORT]);
    t.teardown(() => server.stop());
  }
  await controller.waitForAgent();
  await controller.plugVip();
  const plug = (port: object = {}) =>
    controller.must('POST', '/1.0/plug/network', { mac_address: PORTS.member.mac, ...port });
  const show = (...words: string[]): Promise<string> => vm.execTenant('ip', '-o', ...words);
  const addresses = (family: 4 | 6): Promise<string> =>
    show(`-${family}`, 'address', 'show', 'dev', 'eth2', 'scope', 'global');
  const hasLease = (pattern: RegExp) =>
    until(`a lease like ${pattern.source}`, async () => pattern.test(await addresses(4)), 30_000);
  const clients = async (): Promise<string[]> =>
    (await vm.exec('pgrep', '-x', 'udhcpc').catch(() => ''))
      .split('\n')
      .filter((pid) => pid !== '');
  const balanced = async (what: string): Promise<void> => {
    const flows = new Flows(world.client, VIP.v4, PORT);
    // The agent hears of addresses a moment after the kernel has them.
    await until(`a connection ${what}`, async () => (await flows.open(1)).refused === 0);
    t.strictSame((await flows.open(20)).members, { m1: 10, m2: 10 }, what);
    await flows.stop();
  };

  const { body } = await plug();
  t.match(body, 'Plugged on interface eth2', 'answered although nobody gives leases yet');
  const server = serve(t, world, 150);
  await hasLease(/ 10\.1\.0\.15\d\/24 .* dynamic /);
  await until('an IPv6 address', async () => (await addresses(6)).includes(' 2001:db8:1:'), 30_000);
  const routes = await show('route', 'show', 'dev', 'eth2');
  t.match(routes, `${FAR.subnet4} via ${FAR.v4} proto dhcp`, 'host routes are taken');
  t.notMatch(routes, 'default', "a member network's router is not");
  t.notMatch(await show('-6', 'route', 'show', 'dev', 'eth2'), 'default');

  await controller.pushLoadBalancer(
    LOAD_BALANCER,
    renderLoadBalancer([
      { fixture: 'a01-tcp', port: PORT, members: [{ member: 'm1' }, { member: 'm2' }] },
    ]),
  );
  await balanced('with the leased address as source towards members');

  const before = await clients();
  t.equal(before.length, 1);
  await vm.killAgent('SIGKILL');
  vm.startAgent();
  await controller.waitForAgent();
  await until('the client is adopted', async () => /"adopted":true.*DHCP client/.test(vm.log()));
  t.strictSame(await clients(), before, 'the next agent leaves the client alone');
  t.match(await addresses(4), ' 10.1.0.15', 'and its address');

  // The network is renumbered: the server denies the old address.
  server.kill('SIGKILL');
  await ended(server);
  const successor = serve(t, world, 170);
  await vm.exec('kill', '-USR1', ...before); // renew now, not in five minutes
  await hasLease(/ 10\.1\.0\.17\d\/24 /);
  t.notMatch(await addresses(4), ' 10.1.0.15');
  await balanced('with the new address');

  await vm.exec('kill', '-KILL', ...before);
  await until('a client that dies is started again', async () => {
    const [now] = await clients();
    return now !== undefined && now !== before[0];
  });
  await hasLease(/ 10\.1\.0\.17\d\/24 /);

  const [subnet] = NETWORKS.member.subnets;
  const fixed = { ip_address: PORTS.member.v4, subnet_cidr: subnet.cidr, gateway: null };
  await plug({ fixed_ips: [{ ...fixed, host_routes: [] }] });
  await until('no client', async () => (await clients()).length === 0);
  await until('no lease', async () => !(await addresses(4)).includes('10.1.0.17'));
  t.match(await addresses(4), ` ${PORTS.member.v4}/24 `);

  await plug();
  await hasLease(/ 10\.1\.0\.17\d\/24 /);
  t.notMatch(await addresses(4), ` ${PORTS.member.v4}/24 `);
  await vm.execTenant('ip', 'link', 'delete', 'eth2');
  await until('no client for a port that was detached', async () => (await clients()).length === 0);
  successor.kill('SIGKILL');
});
