// SPDX-License-Identifier: Apache-2.0
// Tells the neighbours of an interface where its addresses live now (contract 5.7).
import { run } from './run.js';

/**
 * Gratuitous ARP and unsolicited neighbour advertisements for all addresses of a freshly plugged interface,
 * sent by the kernel itself: it announces when a link's hardware address is set. That also empties the
 * interface's neighbour table, so it is for interfaces without traffic only. Failures do not matter.
 */
export const announceAddresses = async (
  netns: string,
  name: string,
  mac: string,
): Promise<void> => {
  const keys = [`net/ipv4/conf/${name}/arp_notify=1`, `net/ipv6/conf/${name}/ndisc_notify=1`];
  await run('sysctl', ['-q', '-e', '-w', ...keys], { netns }).catch(() => undefined);
  await run('ip', ['link', 'set', 'dev', name, 'address', mac], { netns }).catch(() => undefined);
};
