// SPDX-License-Identifier: Apache-2.0
// The namespace's interfaces: plugged, restored after a restart, and read for the datapath.
import { dirname, join } from 'node:path';
import type { FastifyBaseLogger } from 'fastify';
import { AgentError, textOf } from '../errors.js';
import type { IpAddress } from '../core/model/load-balancer.js';
import {
  type InterfaceFile,
  type VipPort,
  exploded,
  loopbackInterfaceFile,
  memberInterfaceFile,
  vipInterfaceFile,
} from '../core/network/interface-file.js';
import type { NetworkPlug, VipPlug } from '../core/network/plug-body.js';
import type { FirewallRule } from '../core/network/rules.js';
import { readIfPresent, writeFileAtomic } from './files.js';
import { replaceFirewall } from './firewall.js';
import { VIP_INTERFACE, bringUp, readInterfaceFiles, saveInterfaceFile } from './interfaces.js';
import { type Link, ipJson, readLinks } from './ip.js';
import { announceAddresses } from './announce.js';
import { namespacePath, prepareNamespace } from './namespace.js';
import { run } from './run.js';
import { rescanPci } from './host.js';

export interface NetworkOptions {
  readonly namespace: string;
  /** Interface files. */
  readonly directory: string;
  readonly pluggedInterfacesFile: string;
  readonly stateDirectory: string;
  readonly log: FastifyBaseLogger;
}

/** Bytes by interface, as `details` has them. */
export type NetworkCounters = Readonly<
  Record<string, { readonly network_tx: number; readonly network_rx: number }>
>;

/** Owner of everything about interfaces. Not serialised: the amphora's queue is. */
export class Network {
  readonly netns: string;
  readonly #options: NetworkOptions;

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.netns = namespacePath(options.namespace);
  }

  /** Namespace, interfaces that a reboot put back, and everything that the files say. */
  async prepare(): Promise<void> {
    const { namespace, directory, log } = this.#options;
    await prepareNamespace(namespace);
    await saveInterfaceFile(directory, loopbackInterfaceFile());
    await this.#restorePlugged();
    const present = new Set((await readLinks(this.netns)).map(({ name }) => name));
    for (const file of await readInterfaceFiles(this.#interfaceOptions())) {
      if (file.if_type === 'lo' || !present.has(file.name)) continue; // a detached port leaves its file
      await bringUp(this.#interfaceOptions(), file).catch((error: unknown) => {
        log.error({ err: error, interface: file.name }, 'interface could not be brought up');
      });
    }
  }

  /** Returns the `details` of the answer. `managed`: the VIP is ours to add (SINGLE). Throws AgentError. */
  async plugVip({ mac, port }: VipPlug, managed: boolean): Promise<string> {
    const existing = (await this.links()).find((link) => isPort(link, mac));
    if (existing) {
      // The controller takes the 409 for success even where the first attempt broke off (P8).
      await this.#finishPlug(existing.name, 'Error plugging VIP');
      throw new AgentError('INTERFACE_EXISTS', { message: 'Interface already exists' });
    }
    const outside = await this.#findOutside(mac);
    await this.#rememberVipPort(port);
    const file = vipInterfaceFile(VIP_INTERFACE, port, managed);
    await this.#moveIn(outside, file, 'Error plugging VIP');
    if (managed) await announceAddresses(this.netns, file.name, mac);
    const vips = port.vips.map(({ address }) => exploded(address)).join(', ');
    return `VIPs plugged on interface ${file.name}: ${vips}`;
  }

  /** Returns the `details` of the answer. Throws AgentError. */
  async plugNetwork({ mac, port, vip }: NetworkPlug, managed: boolean): Promise<string> {
    const links = await this.links();
    const existing = links.find((link) => isPort(link, mac));
    if (!existing) {
      const outside = await this.#findOutside(mac);
      const file = memberInterfaceFile(freeName(links), port);
      await this.#moveIn(outside, file, 'Error plugging network');
      return `Plugged on interface ${file.name}`;
    }
    const file =
      vip === null
        ? memberInterfaceFile(existing.name, port)
        : vipInterfaceFile(
            existing.name,
            await this.#withKnownVips({ ...vip, fixedIps: port.fixedIps }),
            managed,
          );
    await saveInterfaceFile(this.#options.directory, file);
    const words = vip === null ? 'Error plugging network' : 'Error plugging vip';
    await this.#bringUp(file, words);
    return `Updated existing interface ${existing.name}`;
  }

  /** Links of the namespace, as they are now. */
  links(): Promise<Link[]> {
    return readLinks(this.netns);
  }

  /** Name of the interface that has the address, or null. */
  async interfaceOf(address: IpAddress): Promise<string | null> {
    const links = await this.links();
    const found = links.find((link) => link.addresses.some(({ local }) => local === address));
    return found?.name ?? null;
  }

  /** True while any plugged port is an SR-IOV one: those have no security groups (contract 5.8). */
  async hasSriov(): Promise<boolean> {
    const files = await readInterfaceFiles(this.#interfaceOptions());
    return files.some((file) => file.is_sriov);
  }

  /** The kernel's half of the rules; throws when they cannot be loaded. */
  putRules(rules: readonly FirewallRule[]): Promise<void> {
    const file = firewallFile(this.#options.pluggedInterfacesFile);
    return replaceFirewall({ netns: this.netns, file, vipInterface: VIP_INTERFACE }, rules);
  }

  /** Interfaces that have a file, by name: true while a link of that name is up and its file asks for DHCP. */
  async dhcpWishes(): Promise<Map<string, boolean>> {
    const up = new Set((await this.links()).filter(({ isUp }) => isUp).map(({ name }) => name));
    const files = await readInterfaceFiles(this.#interfaceOptions());
    return new Map(
      files
        .filter(({ if_type: type }) => type !== 'lo')
        .map(({ name, addresses }) => [
          name,
          up.has(name) && addresses.some(({ dhcp }) => dhcp === true),
        ]),
    );
  }

  /** Of interfaces called eth*, 64 bits. */
  async counters(): Promise<NetworkCounters> {
    const links = await ipJson(this.netns, ['-statistics', 'link', 'show']);
    return Object.fromEntries(
      links.flatMap(({ ifname: name, stats64 }) => {
        if (typeof name !== 'string' || !name.startsWith('eth')) return [];
        const stats = stats64 as Record<string, { bytes: number } | undefined>;
        const counters = {
          network_tx: stats['tx']?.bytes ?? 0,
          network_rx: stats['rx']?.bytes ?? 0,
        };
        return [[name, counters]];
      }),
    );
  }

  #interfaceOptions() {
    const { directory, pluggedInterfacesFile, log } = this.#options;
    return { netns: this.netns, directory, firewallFile: firewallFile(pluggedInterfacesFile), log };
  }

  async #findOutside(mac: string): Promise<Link> {
    const found = (await readLinks(null)).find((link) => isPort(link, mac));
    if (found) return found;
    await rescanPci();
    // The controller's whole mechanism for hot-plug latency hangs on this text (contract 1.2).
    const details = 'No suitable network interface found';
    throw new AgentError('INTERFACE_NOT_FOUND', { details });
  }

  /** File first: a crash after any step is repaired by `prepare` or by the controller's next attempt. */
  async #moveIn(link: Link, file: InterfaceFile, words: string): Promise<void> {
    await saveInterfaceFile(this.#options.directory, file);
    await this.#rememberPlugged(link.mac, file.name);
    try {
      await this.#move(link, file.name);
    } catch (error) {
      throw new AgentError(
        'NETWORK_FAILED',
        { message: words, details: textOf(error) },
        { cause: error },
      );
    }
    await this.#bringUp(file, words);
  }

  /** By its number: udev may be about to give a port that was just plugged another name. */
  async #move({ ifindex }: Link, to: string): Promise<void> {
    const link = ['link', 'set', 'dev', `if${ifindex}`]; // iproute2's word for a number
    // A link that is up cannot be renamed on older kernels; moving takes it down anyway.
    await run('ip', [...link, 'down']);
    await run('ip', [...link, 'netns', this.#options.namespace, 'name', to]);
  }

  async #bringUp(file: InterfaceFile, words: string): Promise<void> {
    try {
      await bringUp(this.#interfaceOptions(), file);
    } catch (error) {
      throw new AgentError(
        'NETWORK_FAILED',
        { message: words, details: textOf(error) },
        { cause: error },
      );
    }
  }

  async #finishPlug(name: string, words: string): Promise<void> {
    const files = await readInterfaceFiles(this.#interfaceOptions());
    const file = files.find((one) => one.name === name);
    if (file) await this.#bringUp(file, words);
  }

  async #restorePlugged(): Promise<void> {
    const outside = await readLinks(null);
    for (const [mac, name] of await this.#plugged()) {
      const link = outside.find((one) => one.mac === mac && one.type === 'ether');
      if (!link) continue;
      await this.#move(link, name).catch((error: unknown) => {
        this.#options.log.error({ err: error, mac, name }, 'plugged interface could not be moved');
      });
    }
  }

  async #plugged(): Promise<Map<string, string>> {
    const text = (await readIfPresent(this.#options.pluggedInterfacesFile))?.toString() ?? '';
    const lines = text.split('\n').map((line) => line.trim().split(/\s+/));
    return new Map(lines.flatMap(([mac, name]) => (mac && name ? [[mac, name]] : [])));
  }

  async #rememberPlugged(mac: string, name: string): Promise<void> {
    const plugged = await this.#plugged();
    if (plugged.get(mac) === name) return;
    plugged.set(mac, name);
    const lines = [...plugged].map((pair) => `${pair.join(' ')}\n`);
    await writeFileAtomic(this.#options.pluggedInterfacesFile, lines.join(''), 0o644);
  }

  get #vipPortFile(): string {
    return join(this.#options.stateDirectory, 'vip-port.json');
  }

  #rememberVipPort(port: VipPort): Promise<void> {
    return writeFileAtomic(this.#vipPortFile, `${JSON.stringify(port)}\n`, 0o600);
  }

  /** A re-plug of the VIP's port never names the additional VIPs; they stay all the same (P27). */
  async #withKnownVips(port: VipPort): Promise<VipPort> {
    const text = await readIfPresent(this.#vipPortFile);
    const known = text === null ? [] : (JSON.parse(text.toString()) as VipPort).vips;
    const named = new Set(port.vips.map(({ address }) => address));
    const merged = {
      ...port,
      vips: [...port.vips, ...known.filter(({ address }) => !named.has(address))],
    };
    await this.#rememberVipPort(merged);
    return merged;
  }
}

/** Beside the list of plugged interfaces: the reference has both at fixed places in one directory. */
export const firewallFile = (pluggedInterfacesFile: string): string =>
  join(dirname(pluggedInterfacesFile), 'nftables-vip.rules');

/** The loopback has an address of zeros, and is nobody's port. */
const isPort = (link: Link, mac: string): boolean => link.mac === mac && link.type === 'ether';

/** The lowest free name from eth2 on. */
const freeName = (links: readonly Link[]): string => {
  const taken = new Set(links.map(({ name }) => name));
  let number = 2;
  while (taken.has(`eth${number}`)) number += 1;
  return `eth${number}`;
};
