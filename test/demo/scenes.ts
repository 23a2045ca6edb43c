// SPDX-License-Identifier: Apache-2.0
// What the demo shows, one scene per function: traffic, then what came of it.
import { LOAD_BALANCER } from '../support/load-balancer-config.js';
import { inCheckout } from '../support/paths.js';
import { CLIENT, VIP } from '../support/topology.js';
import { Flows, startTransfer, transfer } from '../support/traffic.js';
import { sleep } from '../support/run.js';
import { cpuSeconds, programTime } from './meter.js';
import {
  BULK,
  BULK_HAPROXY,
  HTTP,
  LEAST,
  renderDemo,
  ROUND_ROBIN,
  SOURCE_IP,
  UDP,
  type Stage,
} from './stage.js';
import { headline, say, table, tally } from './story.js';

/** Runs one of the demo's clients in the client's namespace; a JSON array of names per line. */
const client = async (
  stage: Stage,
  script: string,
  ...args: readonly string[]
): Promise<string[][]> => {
  const path = inCheckout(`build/test/demo/${script}.js`);
  const text = await stage.world.client.exec(process.execPath, path, ...args);
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as string[]);
};

const count = (names: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
};

const url = (port: number): string => `http://${VIP.v4}:${port}/`;

export const algorithms = async (stage: Stage): Promise<void> => {
  headline('Who answers, by algorithm');
  const [turns = []] = await client(stage, 'http-client', url(ROUND_ROBIN.port), '60');
  say(`ROUND_ROBIN, weights 1, 2, 3: 60 HTTP requests, a connection each: ${tally(count(turns))}`);
  say(`  the first twelve in order: ${turns.slice(0, 12).join(' ')}`);

  const least = new Flows(stage.world.client, VIP.v4, LEAST.port);
  const first = await least.open(12);
  say(`LEAST_CONNECTIONS: 12 connections are opened and held: ${tally(first.members)}`);
  await least.close('m2');
  await sleep(200);
  say(
    `  those to m2 are closed, and 4 new ones go where it is idle: ${tally((await least.open(4)).members)}`,
  );
  await least.stop();

  say('SOURCE_IP: six clients ask four times each, and each meets its own member:');
  const sources = [1, 2, 3, 4, 5, 6].map((i) => `198.18.${i}.7`);
  const answers = await client(stage, 'http-client', url(SOURCE_IP.port), '4', ...sources);
  table([
    ['client', 'answered by'],
    ...sources.map((source, i) => [source, (answers[i] ?? []).join(' ')]),
  ]);

  const [datagrams = []] = await client(stage, 'udp-client', VIP.v4, String(UDP.port), '60');
  say(
    `UDP, round robin, weights 1, 2, 3: 60 datagrams from a port each: ${tally(count(datagrams))}`,
  );

  const [proxied = []] = await client(stage, 'http-client', url(HTTP.port), '30');
  say(
    `An HTTP listener, which a real HAProxy serves beside the datapath: ${tally(count(proxied))}`,
  );
};

export const weightChange = async (stage: Stage): Promise<void> => {
  headline('A weight change while connections live');
  const spec = { address: VIP.v4, port: BULK.port, direction: 'get', bytes: 3_000_000 } as const;
  const { result } = await startTransfer(stage.world.client, { ...spec, count: 12, seconds: 5 });
  say('12 downloads run, spread evenly. Now the controller sets the weight of m1 to 0:');
  await sleep(800);
  const members = BULK.members.map((each) =>
    each.member === 'm1' ? { ...each, weight: 0 } : each,
  );
  await stage.controller.pushLoadBalancer(LOAD_BALANCER, renderDemo({ ...BULK, members }));
  const flows = new Flows(stage.world.client, VIP.v4, BULK.port);
  say(`20 new connections: ${tally((await flows.open(20)).members)}`);
  await flows.stop();
  const { complete, mismatch, failed, stalled, members: served } = await result;
  say(
    `the 12 downloads: ${complete} complete with the right SHA-256, ${mismatch + failed + stalled} not; served by ${tally(served)}`,
  );
  await stage.controller.pushLoadBalancer(LOAD_BALANCER, renderDemo());
};

/** The part of `amphoractl status --json` that the demo tells of. */
interface Status {
  readonly listeners: readonly {
    readonly protocol: string;
    readonly vips: readonly { readonly address: string; readonly port: number }[];
    readonly engine: string;
    readonly reasons: readonly { readonly text: string }[];
  }[];
  readonly interfaces: readonly {
    readonly interface: string;
    readonly hook: string;
    readonly reason: string;
  }[];
}

export const engines = async (stage: Stage): Promise<void> => {
  headline('Which engine serves what, and why (from `amphoractl status`)');
  const { listeners, interfaces } = JSON.parse(await stage.vm.ctl('status', '--json')) as Status;
  const rows = listeners.map(({ protocol, vips, engine, reasons }) => [
    `${protocol} ${vips.map(({ address, port }) => `${address} ${port}`).join(', ')}`,
    engine,
    reasons[0]?.text ?? '',
  ]);
  table([['listener', 'engine', 'why'], ...rows]);
  say('');
  table([
    ['interface', 'hook', 'why'],
    ...interfaces.map((each) => [each.interface, each.hook, each.reason]),
  ]);
};

interface Figures {
  readonly connections: number;
  readonly echoes: number;
  readonly echoCpu: number;
  readonly megabytes: number;
  readonly bulkCpu: number;
}

const measure = async (stage: Stage, port: number): Promise<Figures> => {
  const flows = new Flows(stage.world.client, VIP.v4, port);
  const begun = performance.now();
  const { opened } = await flows.open(1000, { parallel: 32 });
  const opening = performance.now() - begun;
  const echoing = await timed(() => flows.check(30));
  await flows.stop();
  const bytes = 300_000_000;
  const spec = { address: VIP.v4, port, direction: 'raw', count: 2, bytes } as const;
  const moving = await timed(() => transfer(stage.world.client, spec));
  return {
    connections: (opened / opening) * 1000,
    echoes: echoing.value.right / echoing.seconds,
    echoCpu: (echoing.cpu / echoing.value.right) * 1e6,
    megabytes: (2 * bytes) / 1e6 / moving.seconds,
    bulkCpu: (moving.cpu / 2 / bytes) * 1e9,
  };
};

const timed = async <T>(
  work: () => Promise<T>,
): Promise<{ value: T; seconds: number; cpu: number }> => {
  const [begun, cpu] = [performance.now(), cpuSeconds()];
  const value = await work();
  return { value, seconds: (performance.now() - begun) / 1000, cpu: cpuSeconds() - cpu };
};

export const comparison = async (stage: Stage): Promise<void> => {
  headline('The same listener in the datapath and on HAProxy');
  const before = await programTime(stage.vm);
  const ours = await measure(stage, BULK.port);
  const after = await programTime(stage.vm);
  const theirs = await measure(stage, BULK_HAPROXY.port);
  const row = (what: string, of: (figures: Figures) => number): string[] => {
    const [a, b] = [of(ours), of(theirs)];
    return [what, a.toFixed(a < 100 ? 1 : 0), b.toFixed(b < 100 ? 1 : 0)];
  };
  table([
    ['', 'datapath', 'HAProxy'],
    row('new connections per second', (each) => each.connections),
    row('echoes per second, 1000 connections', (each) => each.echoes),
    row('CPU per echo, whole machine (us)', (each) => each.echoCpu),
    row('download, two streams (MB/s)', (each) => each.megabytes),
    row('CPU per downloaded GB, whole machine (s)', (each) => each.bulkCpu),
  ]);
  say(
    '(whole machine: client, members and every hop share these CPUs; `make bench` takes it apart)',
  );
  const packets = after.packets - before.packets;
  const each = (after.nanoseconds - before.nanoseconds) / packets;
  say(
    `meanwhile the XDP program saw ${packets} packets at ${each.toFixed(0)} ns each, by the kernel's own count`,
  );
};

export const counters = async (stage: Stage): Promise<void> => {
  headline('What the datapath counted: `amphoractl stats`');
  say((await stage.vm.ctl('stats')).trim());
  const { packets, nanoseconds } = await programTime(stage.vm);
  const average = (nanoseconds / packets).toFixed(0);
  say(`\nin all, the XDP program has seen ${packets} packets and spent ${average} ns on each`);
};

/** For KEEP=1. */
export const lookAround = (stage: Stage): void => {
  headline('The world stays up (KEEP=1)');
  const vm = `nsenter -t ${stage.vm.processId} -m -p -n --`;
  const tenant = `${vm} ip netns exec amphora-haproxy`;
  const ctl = `${vm} ${process.execPath} ${inCheckout('dist/agent/bin/amphoractl.js')}`;
  table([
    ['look at', 'with'],
    [
      'a request from the client',
      `ip netns exec ${stage.world.client.name} node ${inCheckout('build/test/demo/http-client.js')} ${url(80)} 6`,
    ],
    ['status, flows, stats', `${ctl} status`],
    ['flows as they come and go', `${ctl} flows --follow`],
    ['interfaces and routes of the amphora', `${tenant} ip address`],
    ['packets on the VIP interface', `ip netns exec ${stage.world.router.name} tcpdump -ni vip`],
    ['the log of the agent', `less ${stage.world.directory}/agent.log`],
    ['a shell in the amphora', `${vm} bash`],
  ]);
  say(`clients may use any address of ${CLIENT.range4}; members are at 10.1.0.10, .11 and .12`);
  say('to remove it all: test/demo/demo clean (the next `make demo` does so too)');
};
