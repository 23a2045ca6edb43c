// SPDX-License-Identifier: Apache-2.0
// Builds the namespaces of topology.ts and takes them down again.
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, isAlive, Namespace, removeStaleNamespaces } from './netns.js';
import {
  CLIENT,
  FAR,
  MANAGEMENT,
  MEMBERS,
  NETWORKS,
  PORTS,
  ROUTER_MAC,
  type MemberName,
  type NetworkName,
} from './topology.js';

export interface WorldOptions {
  /** First part of every namespace's name; `amp-<pid>` when absent. */
  readonly prefix?: string;
  /** Leave segmentation and checksum offload on at clients and members (for the tc hook). */
  readonly offloads?: boolean;
}

export interface World {
  readonly prefix: string;
  /** A directory for sockets and logs that goes with the world. */
  readonly directory: string;
  readonly client: Namespace;
  readonly router: Namespace;
  readonly management: Namespace;
  /** The default namespace of the amphora VM: management interface, and ports not yet plugged. */
  readonly amphora: Namespace;
  readonly far: Namespace;
  readonly members: Readonly<Record<MemberName, Namespace>>;
  remove(): Promise<void>;
}

export const createWorld = async (options: WorldOptions = {}): Promise<World> => {
  await removeStaleNamespaces();
  removeStaleDirectories();
  const prefix = options.prefix ?? `amp-${process.pid}`;
  const made: Namespace[] = [];
  const directory = mkdtempSync(`/tmp/amp-world-${process.pid}-`);
  const add = async (role: string): Promise<Namespace> => {
    const namespace = await Namespace.create(`${prefix}-${role}`);
    made.push(namespace);
    return namespace;
  };
  const remove = async () => {
    await Promise.all(made.map((namespace) => namespace.remove()));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    return { prefix, directory, remove, ...(await build(add, options.offloads ?? false)) };
  } catch (error) {
    await remove();
    throw error;
  }
};

/** Those of tests that were killed. */
const removeStaleDirectories = (): void => {
  for (const name of readdirSync('/tmp')) {
    const pid = /^amp-world-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid)) || existsSync(`/tmp/${name}/keep`)) continue;
    rmSync(`/tmp/${name}`, { recursive: true, force: true });
  }
};

type Add = (role: string) => Promise<Namespace>;

const build = async (add: Add, offloads: boolean) => {
  const client = await add('client');
  const router = await add('router');
  const bridges = await add('switch');
  const management = await add('mgmt');
  const amphora = await add('amphora');
  const far = await add('far');
  await layBridges(bridges);
  const plug = plugInto(bridges, offloads);

  await connect(
    { namespace: client, name: 'eth0' },
    { namespace: router, name: 'client' },
    { offloads },
  );
  await plug('vip', { namespace: router, name: 'vip', mac: ROUTER_MAC });
  await plug('member', { namespace: router, name: 'member' });
  await plug('member', { namespace: far, name: 'member' });
  for (const [index, network] of (['vip', 'member', 'small'] as const).entries()) {
    await plug(network, { namespace: amphora, name: `ens${index + 4}`, mac: PORTS[network].mac });
    await amphora.ip(`link set ens${index + 4} down`); // as a hot-plugged NIC is
  }
  await connect({ namespace: amphora, name: 'eth0' }, { namespace: management, name: 'amphora' });
  await management.ip(`address add ${MANAGEMENT.controller}/24 dev amphora`);
  await amphora.ip(`address add ${MANAGEMENT.amphora}/24 dev eth0`);

  await setUpClient(client);
  await setUpRouters(router, far);
  const members = await addMembers(add, plug, far, offloads);
  return { client, router, management, amphora, far, members };
};

const layBridges = async (bridges: Namespace): Promise<void> => {
  await bridges.sysctl({ 'net.ipv6.conf.default.disable_ipv6': 1 });
  for (const { bridge, mtu } of Object.values(NETWORKS)) {
    await bridges.ip(
      `link add ${bridge} mtu ${mtu} type bridge mcast_snooping 0`,
      `link set ${bridge} up`,
    );
  }
};

type Plug = (network: NetworkName, end: Parameters<typeof connect>[0]) => Promise<void>;

const plugInto = (bridges: Namespace, offloads: boolean): Plug => {
  let port = 0;
  return async (network, end) => {
    const { bridge, mtu } = NETWORKS[network];
    const name = `port${(port += 1)}`;
    await connect(end, { namespace: bridges, name }, { mtu, offloads });
    await bridges.ip(`link set ${name} master ${bridge}`);
  };
};

/**
 * How the ends recover from the losses of a flood. BBR, which some hosts default to, crawls for minutes
 * after them; reno is always there. From Linux 6.15 on the longest wait for a retransmission can be set:
 * 2 s instead of 2 minutes.
 */
const recoverQuickly = async (end: Namespace): Promise<void> => {
  await end.sysctl({ 'net.ipv4.tcp_congestion_control': 'reno' });
  await end.exec('sysctl', '-qew', 'net.ipv4.tcp_rto_max_ms=2000');
};

const setUpClient = async (client: Namespace): Promise<void> => {
  await client.ip(
    `address add ${CLIENT.v4}/24 dev eth0`,
    `address add ${CLIENT.v6}/64 dev eth0`,
    'route add default via 198.51.100.1',
    'route add default via 2001:db8:c::1',
    `route add local ${CLIENT.range4} dev lo`,
    `route add local ${CLIENT.range6} dev lo`,
  );
  await client.sysctl({
    'net.ipv4.ip_local_port_range': '1024 65535',
    'net.ipv6.ip_nonlocal_bind': 1,
    'net.ipv4.tcp_syn_retries': 6,
  });
  await recoverQuickly(client);
};

const setUpRouters = async (router: Namespace, far: Namespace): Promise<void> => {
  const forwarding = { 'net.ipv4.ip_forward': 1, 'net.ipv6.conf.all.forwarding': 1 };
  await router.sysctl(forwarding);
  await router.ip(
    'address add 198.51.100.1/24 dev client',
    'address add 2001:db8:c::1/64 dev client',
    `route add ${CLIENT.range4} via ${CLIENT.v4}`,
    `route add ${CLIENT.range6} via ${CLIENT.v6}`,
    // Where a flood's random sources seem to live: answers to them vanish here.
    'route add blackhole 100.64.0.0/10',
    'route add blackhole 2001:db8:f::/48',
    ...(['vip', 'member'] as const).flatMap((network) =>
      NETWORKS[network].subnets.map(
        ({ gateway }) => `address add ${gateway}/${prefixOf(gateway)} dev ${network}`,
      ),
    ),
  );
  await far.sysctl(forwarding);
  await far.ip(
    `address add ${FAR.v4}/24 dev member`,
    `address add ${FAR.v6}/64 dev member`,
    'route add default via 10.1.0.1',
    'route add default via 2001:db8:1::1',
  );
};

const addMembers = async (add: Add, plug: Plug, far: Namespace, offloads: boolean) => {
  const members: [string, Namespace][] = [];
  for (const [name, home] of Object.entries(MEMBERS)) {
    const namespace = await add(name);
    if (home.network === 'far') {
      await connect({ namespace, name: 'eth0' }, { namespace: far, name: 'm5' }, { offloads });
      // The far router's side alone is narrow: m5 offers full segments, and only ICMP tells the sender.
      await far.ip(
        'link set m5 mtu 1400',
        'address add 10.5.0.1/24 dev m5',
        'address add 2001:db8:5::1/64 dev m5',
      );
    } else await plug(home.network, { namespace, name: 'eth0' });
    await setUpMember(namespace, home);
    members.push([name, namespace]);
  }
  return Object.fromEntries(members) as Record<MemberName, Namespace>;
};

const GATEWAYS = {
  vip: ['10.0.0.1', '2001:db8::1'],
  member: ['10.1.0.1', '2001:db8:1::1'],
  far: ['10.5.0.1', '2001:db8:5::1'],
  small: [],
} as const;

const setUpMember = async (
  namespace: Namespace,
  home: (typeof MEMBERS)[MemberName],
): Promise<void> => {
  // m5 sends what its hop can carry and still offers full segments, so that clients must learn.
  const narrow = home.network === 'far' ? 'mtu 1400 advmss 1460' : '';
  await namespace.ip(
    `address add ${home.v4}/24 dev eth0`,
    `address add ${home.v6}/64 dev eth0`,
    ...GATEWAYS[home.network].map((gateway) => `route add default via ${gateway} ${narrow}`),
  );
  await recoverQuickly(namespace);
};

const prefixOf = (address: string): number => (address.includes(':') ? 64 : 24);
