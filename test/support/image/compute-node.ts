// SPDX-License-Identifier: Apache-2.0
// The world's `amphora` namespace as a compute node: a tap for each port, bridged to the cable of its network.
import { run } from '../run.js';
import type { World } from '../world.js';

/** By port: the cable's end in the namespace, and an address for it that is not the guest's. */
const CABLES = {
  mgmt: { end: 'eth0', mac: '02:00:00:00:ff:01' },
  vip: { end: 'ens4', mac: '02:00:00:00:ff:02' },
  member: { end: 'ens5', mac: '02:00:00:00:ff:03' },
} as const;

export type PortName = keyof typeof CABLES;

/** Makes taps `t-mgmt`, `t-vip` and `t-member`, as Neutron's agent has them ready when a port is plugged. */
export const makeTaps = async ({ amphora }: World): Promise<void> => {
  await amphora.sysctl({ 'net.ipv6.conf.all.disable_ipv6': 1 });
  for (const [name, { end, mac }] of Object.entries(CABLES)) {
    const tap = `t-${name}`;
    await run('ip', ['-n', amphora.name, 'tuntap', 'add', tap, 'mode', 'tap', 'vnet_hdr']);
    await amphora.ip(
      `link add br-${name} type bridge mcast_snooping 0`,
      `link set br-${name} up`,
      `address flush dev ${end}`,
      // A bridge keeps frames for the address of a port, and the world gave the cables those of the guest.
      `link set ${end} down`,
      `link set ${end} address ${mac}`,
      `link set ${end} master br-${name}`,
      `link set ${end} up`,
      `link set ${tap} master br-${name}`,
      `link set ${tap} up`,
    );
  }
};

/** Taps of a second guest on the VIP and member networks; its management port leads nowhere. */
export const makePeerTaps = async ({ amphora }: World): Promise<void> => {
  for (const name of ['mgmt', 'vip', 'member']) {
    await run('ip', ['-n', amphora.name, 'tuntap', 'add', `p-${name}`, 'mode', 'tap', 'vnet_hdr']);
    if (name === 'mgmt') continue;
    await amphora.ip(`link set p-${name} master br-${name}`, `link set p-${name} up`);
  }
};
