// SPDX-License-Identifier: Apache-2.0
// A VM whose files come late, and what its first answers are; then a topology that changes while it runs.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { AmphoraVm } from '../support/amphora-vm.js';
import { Controller } from '../support/controller.js';
import { sleep, until } from '../support/run.js';
import { MANAGEMENT, VIP } from '../support/topology.js';
import { createWorld } from '../support/world.js';

const CONFIG = '/etc/octavia/amphora-agent.conf';
const PAIR = '/etc/octavia/certs/server.pem';

t.test('first boot', async (t) => {
  const world = await createWorld();
  t.teardown(() => world.remove());
  const vm = await AmphoraVm.boot(world, { hook: 'xdp' });
  t.teardown(() => vm.destroy());
  const controller = new Controller(world);
  t.teardown(() => controller.close());
  /** What a client without TLS gets of the port. */
  const knock = (): Promise<string> =>
    world.management.exec('nc', '-z', '-w', '2', MANAGEMENT.amphora, '9443').then(
      () => 'open',
      () => 'refused',
    );
  const away = (path: string): string => `${vm.path(path)}.later`;
  for (const path of [CONFIG, PAIR]) renameSync(vm.path(path), away(path));

  vm.startAgent();
  await until('it says what is missing', async () => vm.log().includes(CONFIG), 20_000);
  t.equal(await knock(), 'refused', 'no answer at all is what the controller waits through');
  renameSync(away(CONFIG), vm.path(CONFIG));
  await until('and what else is', async () => vm.log().includes(PAIR), 20_000);
  const half = readFileSync(away(PAIR), 'utf8');
  writeFileSync(vm.path(PAIR), half.slice(0, half.length / 2));
  await sleep(1500);
  t.equal(await knock(), 'refused', 'half a certificate is none');
  t.ok(vm.agentRuns, 'it waits');
  writeFileSync(vm.path(PAIR), half);

  await until('the port is open', async () => (await knock()) === 'open', 30_000);
  const [discovery, info, details] = [
    await controller.call('GET', '//'),
    await controller.call('GET', '/1.0/info'),
    await controller.call('GET', '/1.0/details'),
  ];
  t.strictSame(
    [discovery.status, info.status, details.status],
    [200, 200, 200],
    'from the first on',
  );
  t.match(info.body, /"haproxy_version":"\d+\.\d+/);
  const starts = vm.log().match(/agent ready/g)?.length;
  t.equal(starts, 1, 'one start was enough');

  // cloud-init restarts the service once its files are there.
  await vm.killAgent('SIGTERM');
  vm.startAgent();
  await controller.waitForAgent();

  const config = readFileSync(vm.path(CONFIG), 'utf8');
  const put = await controller.call(
    'PUT',
    '/1.0/config',
    config.replace(/(loadbalancer_topology = ).*/, '$1ACTIVE_STANDBY'),
  );
  t.equal(put.status, 202);
  await controller.plugVip();
  const { status } = await controller.call('GET', `/1.0/interface/${VIP.v4}`);
  t.equal(status, 404, 'the topology of the moment counts: the VIP is keepalived’s now');
});
