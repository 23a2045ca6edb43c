// SPDX-License-Identifier: Apache-2.0
// A DHCP client for each interface of the namespace whose file asks for one (contract 1.5, 7): udhcpc as a service
// beside the agent, which outlives it. IPv6 needs none: the kernel configures itself from router advertisements.
import { join } from 'node:path';
import type { FastifyBaseLogger } from 'fastify';
import { DHCP_SCRIPT } from '../core/network/dhcp-script.js';
import { renderDhcpUnit } from '../core/units/dhcp-unit.js';
import { writeFileAtomic } from './files.js';
import type { Service, Services } from './services.js';

export interface DhcpOptions {
  /** Every interface that has a file or had one, by name: true while it is up and wants a lease. */
  readonly wishes: () => Promise<ReadonlyMap<string, boolean>>;
  /** Name of the network namespace. */
  readonly namespace: string;
  readonly runDirectory: string;
  /** Where the script of the leases is put; programs may be executed from there. */
  readonly scriptDirectory: string;
  readonly services: Services;
  readonly log: FastifyBaseLogger;
}

const PROGRAM = '/sbin/udhcpc';

export class DhcpClients {
  readonly #options: DhcpOptions;
  /** Those that run by our word. */
  readonly #running = new Set<string>();
  #isInstalled = false;

  constructor(options: DhcpOptions) {
    this.#options = options;
  }

  /**
   * Starts, adopts and stops clients as the interfaces are now. Not serialised: the amphora's queue is. Never
   * throws: a network without addresses is no reason to refuse everything else.
   */
  async follow(): Promise<void> {
    try {
      const wishes = await this.#options.wishes();
      for (const name of new Set([...wishes.keys(), ...this.#running])) {
        await this.#followOne(name, wishes.get(name) ?? false);
      }
    } catch (error) {
      this.#options.log.error({ err: error }, 'DHCP clients do not follow');
    }
  }

  async #followOne(name: string, wanted: boolean): Promise<void> {
    const { services, log } = this.#options;
    if (wanted && this.#running.has(name)) return;
    const service = this.#service(name);
    if (!wanted) {
      await services.stop(service); // also one that an earlier agent left
      if (this.#running.delete(name)) log.info({ interface: name }, 'DHCP client stopped');
      return;
    }
    await this.#install();
    const adopted = await services.adopt(service);
    if (!adopted) await services.start(service);
    this.#running.add(name);
    log.info({ interface: name, adopted }, 'DHCP client runs');
  }

  async #install(): Promise<void> {
    if (this.#isInstalled) return;
    await writeFileAtomic(this.#script, DHCP_SCRIPT, 0o755);
    this.#isInstalled = true;
  }

  get #script(): string {
    return join(this.#options.scriptDirectory, 'dhcp-script');
  }

  #service(name: string): Service {
    const { namespace, runDirectory } = this.#options;
    const pidFile = join(runDirectory, `dhcp-${name}.pid`);
    // For ever: three questions, 2 s apart, then 10 s of silence. -R gives the lease back at the end.
    const patience = ['-t', '3', '-T', '2', '-A', '10'];
    const lease = ['-R', '-O', 'staticroutes', '-s', this.#script];
    const args = ['-f', '-i', name, '-p', pidFile, ...patience, ...lease];
    return {
      name: `amphora-dhcp-${name}`,
      program: PROGRAM,
      args,
      foregroundArgs: [],
      pidFile,
      reloadSignal: 'SIGHUP', // never sent: it has no config
      unit: renderDhcpUnit({ program: PROGRAM, args, interface: name, namespace }),
    };
  }
}
