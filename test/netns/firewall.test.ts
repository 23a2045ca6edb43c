// SPDX-License-Identifier: Apache-2.0
// An SR-IOV port has no security groups: what HAProxy serves is guarded by the kernel, by the same rules as the
// datapath's listeners (contract 5.8, P29).
import { statSync } from 'node:fs';
import t from 'tap';
import { AmphoraVm } from '../support/amphora-vm.js';
import { Controller } from '../support/controller.js';
import { LOAD_BALANCER, renderLoadBalancer } from '../support/load-balancer-config.js';
import { CLIENT, VIP } from '../support/topology.js';
import { createWorld } from '../support/world.js';

const members = [{ member: 'm1' }] as const;
const [HTTP, OTHER] = [8002, 8003];
const FILE = '/var/lib/octavia/nftables-vip.rules';

t.test('rules of an SR-IOV port hold for HAProxy, too', async (t) => {
  const world = await createWorld();
  t.teardown(() => world.remove());
  const vm = await AmphoraVm.boot(world, { hook: 'xdp' });
  t.teardown(() => vm.destroy());
  vm.startAgent();
  const controller = new Controller(world);
  t.teardown(() => controller.close());
  await controller.waitForAgent();
  await controller.plugVip(true);
  await controller.plugNetwork('member');
  const http = { fixture: 'a16-http', port: HTTP, members } as const;
  await controller.pushLoadBalancer(
    LOAD_BALANCER,
    renderLoadBalancer([http, { ...http, port: OTHER }, { ...http, port: 8004, vips: [VIP.v6] }]),
  );
  /** True where HAProxy accepts a connection. */
  const reaches = (source: string, port: number): Promise<boolean> => {
    const vip = source.includes(':') ? VIP.v6 : VIP.v4;
    return world.client.exec('nc', '-z', '-w', '2', '-s', source, vip, String(port)).then(
      () => true,
      () => false,
    );
  };
  const pings = (): Promise<boolean> =>
    world.client.exec('ping', '-q', '-c', '1', '-W', '1', VIP.v4).then(
      () => true,
      () => false,
    );
  t.equal(statSync(vm.path(FILE)).mode & 0o777, 0o600);
  t.equal(await reaches(CLIENT.v4, HTTP), false, 'before the first rules nobody comes in');
  t.equal(await pings(), false);

  await controller.putRules([
    { protocol: 'TCP', cidr: '198.51.100.0/24', port: HTTP },
    { protocol: 'TCP', cidr: '2001:db8:c::/64', port: 8004 },
    { protocol: 'VRRP', cidr: '10.0.0.21/32', port: 112 },
  ]);
  const check = async (when: string): Promise<void> => {
    t.equal(await reaches(CLIENT.v4, HTTP), true, `allowed prefix, ${when}`);
    t.equal(await reaches(CLIENT.first4, HTTP), false, `other source, ${when}`);
    t.equal(await reaches(CLIENT.v4, OTHER), false, `port without a rule, ${when}`);
    t.equal(await reaches(CLIENT.v6, 8004), true, `IPv6, ${when}`);
    t.equal(await reaches(CLIENT.first6, 8004), false, `other IPv6 source, ${when}`);
  };
  await check('after the rules');
  t.match(
    await vm.execTenant('nft', 'list', 'ruleset'),
    /ip saddr 10\.0\.0\.21 meta l4proto (112|vrrp) accept/,
  );

  await vm.reboot();
  vm.startAgent();
  await controller.waitForAgent();
  await check('after a boot');

  await controller.putRules([]);
  t.equal(await reaches(CLIENT.v4, HTTP), false, 'an empty set is a set');
});
