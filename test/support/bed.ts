// SPDX-License-Identifier: Apache-2.0
// A world with a plugged amphora and running members: what every traffic test starts from.
import type { Test } from 'tap';
import { AmphoraVm } from './amphora-vm.js';
import { Controller } from './controller.js';
import {
  listenerId,
  LOAD_BALANCER,
  renderLoadBalancer,
  renderLvsListener,
  type ListenerSpec,
} from './load-balancer-config.js';
import { Server } from './traffic.js';
import { createWorld, type World } from './world.js';
import { sleep } from './run.js';
import type { MemberName } from './topology.js';

export interface BedOptions {
  readonly hook: 'xdp' | 'tc';
  /** Ports that every member serves, TCP and UDP. */
  readonly ports: readonly number[];
  readonly options?: readonly string[];
  /** Processes per server; one holds at most about 19,000 connections. */
  readonly workers?: number;
  readonly traced?: boolean;
  readonly overlays?: readonly string[];
}

export interface Bed {
  readonly world: World;
  readonly vm: AmphoraVm;
  readonly controller: Controller;
  readonly servers: Map<MemberName, Server>;
  startServer(member: MemberName): Promise<Server>;
  /** Uploads the load balancer with these listeners and no others, as the controller does. */
  push(...specs: readonly ListenerSpec[]): Promise<void>;
  pushUdp(spec: ListenerSpec): Promise<void>;
  remove(): Promise<void>;
}

/** The bed goes when the test does. Offloads stay on at the senders where tc is to cope with them. */
export const makeBed = async (t: Test, options: BedOptions): Promise<Bed> => {
  const bed = await buildBed(options);
  t.teardown(async () => {
    const log = bed.vm.log();
    await bed.remove();
    if (!t.passing() && process.env['AMPHORA_LOG'] !== undefined) t.comment(log);
  });
  return bed;
};

export const buildBed = async (options: BedOptions): Promise<Bed> => {
  const world = await createWorld({ offloads: options.hook === 'tc' });
  const started: { remove(): Promise<void> }[] = [world];
  const remove = async () => {
    for (const part of started.reverse()) await part.remove();
  };
  try {
    const bpf = process.env['AMPHORA_BPF']; // objects of another build
    const lines = [
      ...(options.options ?? []),
      ...(bpf === undefined ? [] : [`bpf_directory = ${bpf}`]),
    ];
    const vm = await AmphoraVm.boot(world, { ...options, options: lines });
    started.push({ remove: () => vm.destroy() });
    vm.startAgent();
    const controller = new Controller(world);
    started.push({ remove: () => controller.close() });
    const servers = new Map<MemberName, Server>();
    const startServer = async (member: MemberName) => {
      const server = await Server.start(
        world.members[member],
        member,
        options.ports,
        options.workers,
      );
      servers.set(member, server);
      return server;
    };
    started.push({
      remove: async () => {
        await Promise.all([...servers.values()].map((server) => server.stop()));
      },
    });
    await Promise.all((Object.keys(world.members) as MemberName[]).map(startServer));
    await controller.waitForAgent();
    await controller.plugVip();
    await controller.plugNetwork('member');
    await controller.plugNetwork('small');
    return {
      ...{ world, vm, controller, servers, startServer, remove },
      push: (...specs) => controller.pushLoadBalancer(LOAD_BALANCER, renderLoadBalancer(specs)),
      pushUdp: (spec) => controller.pushLvsListener(listenerId(spec.port), renderLvsListener(spec)),
    };
  } catch (error) {
    const log = started.length > 1 ? '\nsee the log of the agent' : '';
    await remove();
    throw new Error(`the test bed could not be made: ${String(error)}${log}`, { cause: error });
  }
};

/** Long enough for the members' answers to a close to pass the amphora. */
export const settle = (): Promise<void> => sleep(200);

export const countOf = (names: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
};
