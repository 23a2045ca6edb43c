// SPDX-License-Identifier: Apache-2.0
// The demo's world: namespaces, the amphora VM with its agent, three members with real servers, and the config.
import { closeSync, openSync } from 'node:fs';
import type { ChildProcess } from 'node:child_process';
import { AmphoraVm } from '../support/amphora-vm.js';
import { Controller, type Answer } from '../support/controller.js';
import {
  LOAD_BALANCER,
  renderLoadBalancer,
  renderLvsListener,
  type ListenerSpec,
} from '../support/load-balancer-config.js';
import { inCheckout } from '../support/paths.js';
import { createWorld, type World } from '../support/world.js';
import { until } from '../support/run.js';
import type { MemberName } from '../support/topology.js';
import { PREFIX } from './remains.js';

export const MEMBER_NAMES = ['m1', 'm2', 'm3'] as const;

const equal = MEMBER_NAMES.map((member) => ({ member }));
const weighted = MEMBER_NAMES.map((member, i) => ({ member, weight: i + 1 }));

export const ROUND_ROBIN: ListenerSpec = { fixture: 'a02-weights', port: 80, members: weighted };
export const SOURCE_IP: ListenerSpec = { fixture: 'a04-source-ip', port: 81, members: equal };
export const HTTP: ListenerSpec = { fixture: 'a16-http', port: 8080, members: equal };
export const LEAST: ListenerSpec = { fixture: 'a03-leastconn', port: 9001, members: equal };
export const BULK: ListenerSpec = { fixture: 'a01-tcp', port: 9002, members: equal };
/** The same listener as BULK, kept on HAProxy by a directive that only HAProxy knows. */
export const BULK_HAPROXY: ListenerSpec = { ...BULK, port: 9003 };
export const UDP: ListenerSpec = { fixture: 'a36-udp', port: 53, members: weighted };

/** The upload, with `bulk` in place of BULK. */
export const renderDemo = (bulk: ListenerSpec = BULK): string => {
  const config = renderLoadBalancer([ROUND_ROBIN, SOURCE_IP, HTTP, LEAST, bulk, BULK_HAPROXY]);
  const at = config.indexOf('    mode tcp\n', config.indexOf(`:${BULK_HAPROXY.port}\n`));
  return `${config.slice(0, at)}    option tcp-smart-accept\n${config.slice(at)}`;
};

export interface Stage {
  readonly world: World;
  readonly vm: AmphoraVm;
  readonly controller: Controller;
  readonly members: readonly ChildProcess[];
}

/** `parts` collects what is up as it comes up, so that an interrupted start can be undone. */
export const setStage = async (
  parts: { -readonly [Part in keyof Stage]?: Stage[Part] },
  keep: boolean,
  onAnswer: (method: string, path: string, answer: Answer) => void,
): Promise<Stage> => {
  const world = (parts.world = await createWorld({ prefix: PREFIX }));
  const vm = (parts.vm = await AmphoraVm.boot(world, { hook: 'xdp', keep }));
  vm.startAgent(keep);
  const controller = (parts.controller = new Controller(world, onAnswer));
  const members = (parts.members = MEMBER_NAMES.flatMap((name) => startMember(world, name, keep)));
  await until('the members serve', () => listening(world, MEMBER_NAMES), 20_000);
  return { world, vm, controller, members };
};

/** What the controller sends from first contact to traffic. */
export const play = async (controller: Controller): Promise<void> => {
  await controller.waitForAgent();
  await controller.plugVip();
  await controller.plugNetwork('member');
  await controller.pushLoadBalancer(LOAD_BALANCER, renderDemo());
  await controller.pushLvsListener(UDP_LISTENER, renderLvsListener(UDP));
};

const UDP_LISTENER = '00000053-0000-4000-9000-000000000000';

/** An HTTP and UDP server of Node's, and the tests' server for connections that are watched closely. */
const startMember = (world: World, name: MemberName, keep: boolean): ChildProcess[] => {
  const log = openSync(`${world.directory}/${name}.log`, 'a');
  const bound = keep ? [] : ['setpriv', '--pdeathsig', 'KILL'];
  const ports = [ROUND_ROBIN.port, SOURCE_IP.port, HTTP.port].join(',');
  const script = inCheckout('build/test/demo/member.js');
  const commands = [
    [process.execPath, script, name, ports, String(UDP.port)],
    [
      inCheckout('build/tools/server'),
      name,
      '1',
      ...[LEAST, BULK, BULK_HAPROXY].map(({ port }) => String(port)),
    ],
  ];
  const started = commands.map((command) => {
    const [program = '', ...args] = [...bound, ...command];
    return world.members[name].spawn(program, args, {
      stdio: ['ignore', log, log],
      detached: keep,
      env: { ...process.env, TOOLS_STAY: '1' }, // bound by setpriv, or meant to stay
    });
  });
  closeSync(log);
  return started;
};

const listening = async (world: World, names: readonly MemberName[]): Promise<boolean> => {
  const lists = await Promise.all(names.map((name) => world.members[name].exec('ss', '-Hltn')));
  return lists.every((list) => [80, 9003].every((port) => list.includes(`:${port} `)));
};
