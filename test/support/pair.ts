// SPDX-License-Identifier: Apache-2.0
// An active/standby pair: a second amphora VM beside the world's own, and the calls that set both up.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Test } from 'tap';
import { AmphoraVm } from './amphora-vm.js';
import { Controller } from './controller.js';
import { inCheckout } from './paths.js';
import { LOAD_BALANCER, renderLoadBalancer, type ListenerSpec } from './load-balancer-config.js';
import { connect, Namespace } from './netns.js';
import { MANAGEMENT, NETWORKS, VIP } from './topology.js';
import { Server } from './traffic.js';
import { createWorld, type World } from './world.js';

/** One of the two. */
export interface Half {
  readonly vm: AmphoraVm;
  readonly controller: Controller;
  /** True while the kernel of this amphora owns the VIP. */
  holdsVip(): Promise<boolean>;
  /** Status and body of `GET interface/<VIP>`. */
  interfaceOfVip(): Promise<readonly [number, string]>;
  push(...specs: readonly ListenerSpec[]): Promise<void>;
}

export interface Ports {
  readonly vip: { readonly mac: string; readonly v4: string };
  readonly member: { readonly mac: string; readonly v4: string };
}

/** As the recorded VRRP configs name them: the master and its backup. */
export const MASTER: Ports = {
  vip: { mac: 'fa:16:3e:00:00:10', v4: '10.0.0.20' },
  member: { mac: 'fa:16:3e:00:00:11', v4: '10.1.0.100' },
};
const BACKUP: Ports = {
  vip: { mac: 'fa:16:3e:00:00:20', v4: '10.0.0.21' },
  member: { mac: 'fa:16:3e:00:00:21', v4: '10.1.0.101' },
};
export const VRRP = {
  master: 'vrrp-3807b70b-16.0.0.conf',
  backup: 'vrrp-c9289cb2-16.0.0.conf',
} as const;

export interface Pair {
  readonly world: World;
  readonly master: Half;
  readonly backup: Half;
}

/** Both are plugged and run keepalived, and have no listener yet. The pair goes when the test does. */
export const makePair = async (t: Test, port: number): Promise<Pair> => {
  const world = await createWorld();
  t.teardown(() => world.remove());
  const other = await twinOf(t, world);
  for (const member of ['m1', 'm2', 'm3'] as const) {
    const server = await Server.start(world.members[member], member, [port]);
    t.teardown(() => server.stop());
  }
  const [master, backup] = await Promise.all([
    makeHalf(t, world, MASTER, VRRP.master),
    makeHalf(t, other, BACKUP, VRRP.backup),
  ]);
  return { world, master, backup };
};

/** The same networks, seen from another VM with a management network of its own. */
const twinOf = async (t: Test, world: World): Promise<World> => {
  const amphora = await Namespace.create(`${world.prefix}-twin`);
  t.teardown(() => amphora.remove());
  const management = await Namespace.create(`${world.prefix}-mgmt2`);
  t.teardown(() => management.remove());
  const bridges = Namespace.at(`${world.prefix}-switch`);
  for (const [index, network] of (['vip', 'member'] as const).entries()) {
    const name = `ens${index + 4}`;
    const { mac } = BACKUP[network];
    const { bridge, mtu } = NETWORKS[network];
    const far = { namespace: bridges, name: `twin${index}` };
    await connect({ namespace: amphora, name, mac }, far, { mtu });
    await bridges.ip(`link set ${far.name} master ${bridge}`);
    await amphora.ip(`link set ${name} down`); // as a hot-plugged NIC is
  }
  await connect({ namespace: amphora, name: 'eth0' }, { namespace: management, name: 'amphora' });
  await management.ip(`address add ${MANAGEMENT.controller}/24 dev amphora`);
  await amphora.ip(`address add ${MANAGEMENT.amphora}/24 dev eth0`);
  const directory = mkdtempSync('/tmp/amp-twin-');
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return { ...world, amphora, management, directory };
};

const makeHalf = async (t: Test, world: World, ports: Ports, vrrp: string): Promise<Half> => {
  const vm = await AmphoraVm.boot(world, { hook: 'xdp' });
  t.teardown(async () => {
    if (!t.passing()) t.comment(await readLog(vm));
    await vm.destroy();
  });
  const config = vm.path('/etc/octavia/amphora-agent.conf');
  const text = readFileSync(config, 'utf8');
  writeFileSync(config, text.replace(/(loadbalancer_topology = ).*/, '$1ACTIVE_STANDBY'));
  vm.startAgent();
  const controller = new Controller(world);
  t.teardown(() => controller.close());
  await controller.waitForAgent();
  await plugVip(controller, ports);
  await plugMember(controller, ports);
  await controller.must('PUT', '/1.0/vrrp/upload', eager(vrrpConfig(vrrp)));
  await controller.must('PUT', '/1.0/vrrp/start');
  const half: Half = {
    vm,
    controller,
    holdsVip: async () => {
      const text = await vm.execTenant('ip', '-o', 'address', 'show', 'dev', 'eth1');
      return text.includes(` ${VIP.v4}/`);
    },
    interfaceOfVip: async () => {
      const { status, body } = await controller.call('GET', `/1.0/interface/${VIP.v4}`);
      return [status, body.trim()];
    },
    push: (...specs) => controller.pushLoadBalancer(LOAD_BALANCER, renderLoadBalancer(specs)),
  };
  return half;
};

/** As the controller rendered it. */
export const vrrpConfig = (name: string): string =>
  readFileSync(inCheckout(`test/fixtures/controller-configs/a35-active-standby/${name}`), 'utf8');

/** Checks every second instead of every five, so that a test need not wait for them. */
const eager = (config: string): string => config.replace('interval 5', 'interval 1');

/** The VIP's port of one half; who has the VIP itself is VRRP's to say. */
export const plugVip = async (controller: Controller, { vip }: Ports): Promise<void> => {
  const [first] = NETWORKS.vip.subnets;
  await controller.must('POST', `/1.0/plug/vip/${VIP.v4}`, {
    subnet_cidr: first.cidr,
    gateway: first.gateway,
    mac_address: vip.mac,
    vrrp_ip: vip.v4,
    mtu: NETWORKS.vip.mtu,
    host_routes: [],
    additional_vips: [],
    is_sriov: false,
  });
};

const plugMember = async (controller: Controller, { member }: Ports): Promise<void> => {
  const [v4] = NETWORKS.member.subnets;
  await controller.must('POST', '/1.0/plug/network', {
    mac_address: member.mac,
    fixed_ips: [
      { ip_address: member.v4, subnet_cidr: v4.cidr, gateway: v4.gateway, host_routes: [] },
    ],
    mtu: NETWORKS.member.mtu,
    is_sriov: false,
  });
};

/** What keepalived said, for whoever asks why the VIP is not where it should be. */
const readLog = (vm: AmphoraVm): Promise<string> =>
  vm.exec('cat', '/run/amphora-xdp/log/octavia-keepalived.log').catch(String);
