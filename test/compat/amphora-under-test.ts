// SPDX-License-Identifier: Apache-2.0
// An amphora VM with an agent, ours or the stock one of Debian, and Octavia's client in its management network.
import { chmodSync, copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { AmphoraVm } from '../support/amphora-vm.js';
import { connect, Namespace } from '../support/netns.js';
import { inCheckout } from '../support/paths.js';
import { until } from '../support/run.js';
import { MANAGEMENT, PORTS } from '../support/topology.js';
import { type AmphoraClient, startAmphoraClient } from './amphora-client.js';

export type AgentName = 'ours' | 'stock';

export interface AmphoraUnderTest {
  readonly vm: AmphoraVm;
  readonly client: AmphoraClient;
  remove(): Promise<void>;
}

/** In the VM of either agent. */
const STAND_INS = {
  '/usr/bin/systemctl': 'systemctl',
  '/usr/bin/journalctl': 'journalctl',
} as const;

/** Commands of packages that are not installed on test machines. */
const STOCK_STAND_INS = {
  '/usr/sbin/service': 'service',
  '/usr/bin/amphora-agent': 'amphora-agent',
  '/usr/bin/amphora-interface': 'amphora-agent',
  '/usr/bin/haproxy-vrrp-check': 'amphora-agent',
  '/usr/sbin/keepalived': 'keepalived-lvs',
  '/usr/bin/octavia-agent-lvs-masquerade': 'masquerade',
} as const;

/** The agent answers when this returns. Its NICs wait in the default namespace, as after a hot-plug. */
export const startAmphora = async (name: AgentName): Promise<AmphoraUnderTest> => {
  const cleanups: (() => unknown)[] = [];
  const remove = async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  };
  try {
    const directory = mkdtempSync('/tmp/amp-compat-');
    cleanups.push(() => {
      rmSync(directory, { recursive: true, force: true });
    });
    const { amphora, management } = await layNetwork(name, cleanups);
    const agent = name === 'stock' ? ['/usr/bin/amphora-agent'] : null;
    const vm = await AmphoraVm.boot(
      { amphora, directory },
      { hook: 'auto', services: 'systemd', ...(agent === null ? {} : { agent }) },
    );
    cleanups.push(() => vm.destroy());
    furnish(vm, name);
    vm.startAgent();
    const client = await startAmphoraClient(management, directory);
    cleanups.push(() => client.stop());
    await until(
      `the ${name} agent answers`,
      async () => {
        if (!vm.agentRuns) throw new Error(`the ${name} agent ended: ${vm.log().slice(-3000)}`);
        return (await client.ask({ call: 'get_api_version' })).seen?.status === 200;
      },
      60_000,
    );
    return { vm, client, remove };
  } catch (error) {
    await remove();
    throw error;
  }
};

const layNetwork = async (name: AgentName, cleanups: (() => unknown)[]) => {
  const add = async (role: string): Promise<Namespace> => {
    const namespace = await Namespace.create(`amp-${process.pid}-${name}-${role}`);
    cleanups.push(() => namespace.remove());
    return namespace;
  };
  const management = await add('mgmt');
  const amphora = await add('amphora');
  await connect({ namespace: amphora, name: 'eth0' }, { namespace: management, name: 'amphora' });
  await management.ip(`address add ${MANAGEMENT.controller}/24 dev amphora`);
  await amphora.ip(`address add ${MANAGEMENT.amphora}/24 dev eth0`);
  for (const [network, { mac }] of Object.entries(PORTS)) {
    await connect(
      { namespace: amphora, name: `ens-${network}`, mac },
      { namespace: management, name: network },
    );
    await amphora.ip(`link set ens-${network} down`);
  }
  return { amphora, management };
};

/** Where sysctl looks: the namespace unit reads all of it, and the machine's own settings are none of ours. */
const SYSCTL = [
  '/etc/sysctl.d',
  '/usr/lib/sysctl.d',
  '/usr/local/lib/sysctl.d',
  '/etc/sysctl.conf',
];
/** Of the image: HAProxy binds VIPs that keepalived took away. */
const NONLOCAL = 'net.ipv4.ip_nonlocal_bind = 1\nnet.ipv6.ip_nonlocal_bind = 1\n';

const furnish = (vm: AmphoraVm, name: AgentName): void => {
  for (const path of SYSCTL) rmSync(vm.path(path), { recursive: true, force: true });
  writeFileSync(vm.path('/etc/sysctl.conf'), NONLOCAL);
  if (name === 'stock') {
    renameSync(vm.path('/usr/sbin/keepalived'), vm.path('/usr/sbin/keepalived.real'));
    // The agent writes to the first file that it finds, and an installed controller would leave one here.
    rmSync(vm.path('/etc/octavia/octavia.conf'), { force: true });
  }
  for (const [path, standIn] of Object.entries({
    ...STAND_INS,
    ...(name === 'stock' ? STOCK_STAND_INS : {}),
  })) {
    rmSync(vm.path(path), { force: true });
    copyFileSync(inCheckout(`test/compat/stand-ins/${standIn}`), vm.path(path));
    chmodSync(vm.path(path), 0o755);
  }
};
