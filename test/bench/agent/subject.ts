// SPDX-License-Identifier: Apache-2.0
// An agent under measurement: its VM, the controller that calls it, members that answer.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { tableSizes } from '../../../agent/core/plan/sizes.js';
import { AmphoraVm } from '../../support/amphora-vm.js';
import { Controller } from '../../support/controller.js';
import { LOAD_BALANCER } from '../../support/load-balancer-config.js';
import { run } from '../../support/run.js';
import { AMPHORA_ID } from '../../support/tls.js';
import { Server } from '../../support/traffic.js';
import { createWorld, type World } from '../../support/world.js';
import { memberAddresses, portsOf, renderLoad, type Load } from './load.js';
import { Processes } from './processes.js';

export interface Contender {
  readonly name: 'ours' | 'stock';
  readonly command: readonly string[];
  /** Laid over the machine's root in its VM. */
  readonly images: readonly string[];
  /** Where its BPF maps are pinned, for the one that has any. */
  readonly usesMaps: boolean;
}

/** What our agent takes in a VM of 1 GiB: here it would see all of the machine's memory. */
const FLOWS_OF_1_GIB = `table_flows = ${tableSizes(2 ** 30).flows4 / 2}`;

export class Subject {
  readonly contender: Contender;
  readonly world: World;
  readonly vm: AmphoraVm;
  readonly controller: Controller;
  readonly processes: Processes;
  readonly #servers: readonly { stop(): Promise<unknown> }[];

  private constructor(
    contender: Contender,
    parts: {
      world: World;
      vm: AmphoraVm;
      controller: Controller;
      servers: readonly { stop(): Promise<unknown> }[];
    },
  ) {
    this.contender = contender;
    this.world = parts.world;
    this.vm = parts.vm;
    this.controller = parts.controller;
    this.#servers = parts.servers;
    this.processes = new Processes(parts.vm);
  }

  /** A VM with the files of a first boot; no agent runs yet. */
  static async boot(contender: Contender, httpMember: string): Promise<Subject> {
    const world = await createWorld();
    await world.members.m1.ip(
      ...memberAddresses.map((address) => `address add ${address}/24 dev eth0`),
    );
    const { command: agent, images } = contender;
    const vm = await AmphoraVm.boot(world, {
      hook: 'auto',
      images,
      agent,
      options: [FLOWS_OF_1_GIB],
    });
    const tcp = await Server.start(world.members.m1, 'm1', portsOf('tcp'));
    const args = ['--pdeathsig', 'KILL', process.execPath, httpMember];
    const http = world.members.m1.spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    if (http.stdout) await once(http.stdout, 'data');
    const servers = [tcp, { stop: () => end(http) }];
    return new Subject(contender, { world, vm, controller: new Controller(world), servers });
  }

  /** Starts the agent and plugs its ports. */
  async ready(): Promise<void> {
    this.vm.startAgent();
    await this.controller.waitForAgent(60_000);
    await this.controller.plugVip();
    await this.controller.plugNetwork('member');
  }

  async upload(load: Load): Promise<void> {
    const path = `/1.0/loadbalancer/${AMPHORA_ID}/${LOAD_BALANCER}/haproxy`;
    await this.controller.must('PUT', path, renderLoad(load));
  }

  async reload(): Promise<void> {
    await this.controller.must('PUT', `/1.0/loadbalancer/${LOAD_BALANCER}/reload`);
  }

  async deleteLoad(): Promise<void> {
    await this.controller.must('DELETE', `/1.0/listeners/${LOAD_BALANCER}`);
  }

  /** Bytes of kernel memory in the maps that this VM's bpffs holds. */
  async mapBytes(): Promise<number> {
    if (!this.contender.usesMaps) return 0;
    const text = await this.vm.exec('bpftool', '-j', '-f', 'map', 'show');
    const maps = JSON.parse(text) as { bytes_memlock?: number; pinned?: readonly string[] }[];
    return maps
      .filter(({ pinned = [] }) => pinned.length > 0)
      .reduce((sum, { bytes_memlock = 0 }) => sum + bytes_memlock, 0);
  }

  async remove(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop()));
    await this.controller.close();
    await this.vm.destroy();
    await this.world.remove();
  }
}

const end = async (child: ChildProcess): Promise<void> => {
  if (child.pid !== undefined) await run('kill', ['-KILL', String(child.pid)]).catch(() => '');
};
