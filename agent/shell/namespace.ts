// SPDX-License-Identifier: Apache-2.0
// The network namespace that everything tenant-facing lives in, and how its kernel must behave.
import { statfs, writeFile } from 'node:fs/promises';
import { run } from './run.js';

/** Where `ip netns` keeps its handles; also what the units and the addon open. */
export const namespacePath = (name: string): string => `/var/run/netns/${name}`;

/** SNAT ports are 10240-65535; the kernel's own sockets stay below (contract P65). */
const LOCAL_PORTS = '1025 10239';

const SYSCTLS: readonly string[] = [
  // Contract 5.1. Nobody else sets them on an amphora that never starts HAProxy (P22).
  'net.ipv4.ip_forward=1',
  'net.ipv6.conf.all.forwarding=1',
  'net.ipv6.conf.default.forwarding=1',
  // The ping wrapper of PING monitors runs without privileges (contract 7.5).
  'net.ipv4.ping_group_range=0 2147483647',
  // HAProxy binds the VIP also where it is not local: on the backup, and before DAD ends (P26).
  'net.ipv4.ip_nonlocal_bind=1',
  'net.ipv6.ip_nonlocal_bind=1',
  `net.ipv4.ip_local_port_range=${LOCAL_PORTS}`,
  // The datapath hands translated packets to the kernel while a neighbour is unresolved: they come in
  // on one interface with a source that is local, or that is routed through another one.
  'net.ipv4.conf.all.accept_local=1',
  'net.ipv4.conf.default.accept_local=1',
  'net.ipv4.conf.all.rp_filter=0',
  'net.ipv4.conf.default.rp_filter=0',
  // Taking the first address of a subnet away must not take its other ones along.
  'net.ipv4.conf.all.promote_secondaries=1',
  'net.ipv4.conf.default.promote_secondaries=1',
  // Handing them on over the interface they came from is no reason to tell the client a better way.
  'net.ipv4.conf.all.send_redirects=0',
  'net.ipv4.conf.default.send_redirects=0',
];

/** Room in the kernel's neighbour tables for every member. Set in the agent's own namespace, if it has them. */
const NEIGHBOUR_LIMITS = ['ipv4', 'ipv6'].flatMap((family) => [
  [`/proc/sys/net/${family}/neigh/default/gc_thresh3`, '16384'] as const,
  [`/proc/sys/net/${family}/neigh/default/gc_thresh2`, '8192'] as const,
]);

/** File system of a namespace's handle, NSFS_MAGIC of linux/magic.h. */
const NSFS = 0x6e736673;

/** Makes the namespace if it is missing and brings an existing one to the state we need. Idempotent. */
export const prepareNamespace = async (name: string): Promise<void> => {
  const netns = namespacePath(name);
  if (!(await isNamespace(netns))) {
    // A name without a namespace behind it stays where a mount was lost.
    await run('ip', ['netns', 'delete', name]).catch(() => undefined);
    await run('ip', ['netns', 'add', name]);
  }
  await run('ip', ['link', 'set', 'lo', 'up'], { netns });
  await run('sysctl', ['-q', '-e', '-w', ...SYSCTLS], { netns });
  // Refused inside a container whose /proc/sys is read-only: then the defaults must do.
  for (const [file, limit] of NEIGHBOUR_LIMITS) await writeFile(file, limit).catch(() => undefined);
};

/** An interface keeps the settings of its own that it had before it was moved. */
export const prepareInterface = async (netns: string, name: string): Promise<void> => {
  const settings = ['accept_local=1', 'rp_filter=0', 'send_redirects=0', 'promote_secondaries=1'];
  const keys = settings.map((setting) => `net/ipv4/conf/${name}/${setting}`);
  await run('sysctl', ['-q', '-e', '-w', ...keys, `net/ipv6/conf/${name}/forwarding=1`], { netns });
};

const isNamespace = (netns: string): Promise<boolean> =>
  statfs(netns).then(
    ({ type }) => type === NSFS,
    () => false,
  );
