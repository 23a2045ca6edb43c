// SPDX-License-Identifier: Apache-2.0
// Interfaces of the namespace as the datapath wants to know them.
import { parseIpAddress } from '../core/model/address.js';
import type { DatapathInterface, HookChoice } from '../core/model/dataplane.js';
import type { Link } from './ip.js';
import { run } from './run.js';

/** Drivers by interface number: an interface never changes its driver, and a number is not used again soon. */
export class DatapathInterfaces {
  readonly #netns: string;
  readonly #hookOf: (name: string) => HookChoice;
  readonly #drivers = new Map<string, string>();

  constructor(netns: string, hookOf: (name: string) => HookChoice) {
    this.#netns = netns;
    this.#hookOf = hookOf;
  }

  /** Ethernet links only. Addresses that duplicate detection has not accepted are not the kernel's yet. */
  async of(links: readonly Link[]): Promise<DatapathInterface[]> {
    const found: DatapathInterface[] = [];
    for (const link of links.filter(({ type }) => type === 'ether')) {
      found.push({
        name: link.name,
        ifindex: link.ifindex,
        mtu: link.mtu,
        addresses: link.addresses.flatMap((one) => {
          const address = parseIpAddress(one.local);
          const isUsable = address !== null && !one.tentative && !one.duplicate;
          return isUsable ? [{ address, prefix: one.prefixlen }] : [];
        }),
        driver: await this.#driverOf(link),
        hook: this.#hookOf(link.name),
      });
    }
    return found;
  }

  async #driverOf(link: Link): Promise<string> {
    const key = `${link.ifindex} ${link.mac}`;
    const known = this.#drivers.get(key);
    if (known !== undefined) return known;
    const driver = await this.#askDriver(link);
    this.#drivers.set(key, driver);
    return driver;
  }

  async #askDriver({ name, kind }: Link): Promise<string> {
    try {
      const { stdout } = await run('ethtool', ['-i', name], { netns: this.#netns });
      const driver = /^driver: (\S+)/m.exec(stdout)?.[1];
      if (driver !== undefined) return driver;
    } catch {
      // no ethtool, or a device without that ioctl
    }
    return kind ?? 'unknown';
  }
}
