// SPDX-License-Identifier: Apache-2.0
// dnsmasq on the member network: leases, a host route, a router that wants all traffic, router advertisements.
import type { ChildProcess } from 'node:child_process';
import { FAR, NETWORKS } from './topology.js';
import type { World } from './world.js';

const { gateway } = NETWORKS.member.subnets[0];

/** Leases ten addresses, from 10.1.0.`first` on. The caller ends the process. */
export const startDhcpServer = (world: World, first: number): ChildProcess => {
  const routes = `${FAR.subnet4},${FAR.v4},0.0.0.0/0,${gateway}`;
  const leases = `10.1.0.${first},10.1.0.${first + 9},10m`;
  return world.router.spawn(
    'setpriv',
    [
      ...['--pdeathsig', 'KILL', 'dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null'],
      ...['--port=0', '--user=root', '--pid-file=', '--interface=member', '--bind-interfaces'],
      ...[`--dhcp-leasefile=${world.directory}/leases-${first}`, '--dhcp-authoritative'],
      ...[`--dhcp-range=${leases}`, `--dhcp-option=option:classless-static-route,${routes}`],
      ...['--dhcp-range=2001:db8:1::,ra-only,64', '--enable-ra', '--ra-param=member,5,600'],
    ],
    { stdio: 'ignore' },
  );
};
