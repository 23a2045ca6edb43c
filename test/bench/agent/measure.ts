// SPDX-License-Identifier: Apache-2.0
// Every figure of one agent, in an order in which each starts from what the one before left.
import { setTimeout as sleep } from 'node:timers/promises';
import { amphoraFixture } from '../../support/fixtures.js';
import { Heartbeats } from '../../support/heartbeats.js';
import { inCheckout } from '../../support/paths.js';
import { MANAGEMENT, VIP } from '../../support/topology.js';
import { median, millisecondsUntil } from './clock.js';
import { infoRate } from './info-rate.js';
import { portsOf, type Load } from './load.js';
import { type Contender, Subject } from './subject.js';

export interface Effort {
  /** How often a time is taken; the median counts. */
  readonly rounds: number;
  readonly idleSeconds: number;
  readonly infoSeconds: number;
}

/** Unit by figure's name: see `FIGURES` in report.ts. */
export type Figures = Map<string, number>;

const AGENT_PORT = 9443;
const script = (name: string): string => inCheckout(`build/js/test/bench/agent/${name}.js`);

export const measure = async (contender: Contender, effort: Effort): Promise<Figures> => {
  const figures: Figures = new Map();
  figures.set('start', await startTime(contender, effort.rounds));
  const subject = await Subject.boot(contender, script('http-member'));
  const heartbeats = await Heartbeats.start(subject.world.management, [5555], [heartbeatKey()]);
  try {
    await subject.ready();
    await sleep(3000);
    remember(figures, 'idle', subject);
    figures.set('info 1', await infoRate(subject.world.management, 1, effort.infoSeconds));
    figures.set('info 4', await infoRate(subject.world.management, 4, effort.infoSeconds));
    await idleCpu(figures, 'no listener', { subject, heartbeats, effort });
    for (const mode of ['tcp', 'http'] as const) {
      const one = { listeners: 1, mode, monitors: false };
      const fifty = { ...one, listeners: 50 };
      figures.set(`reload 1 ${mode}`, await fromNothing(subject, one, effort.rounds));
      figures.set(`reload 50 ${mode}`, await fromNothing(subject, fifty, effort.rounds));
      figures.set(`reload +1 ${mode}`, await oneMore(subject, fifty, effort.rounds));
      await sleep(3000);
      remember(figures, `50 ${mode}`, subject);
    }
    for (const [name, load] of LOADS) {
      await subject.upload(load);
      await subject.reload();
      await sleep(12_000); // first checks, and what a reload leaves to be done
      await idleCpu(figures, name, { subject, heartbeats, effort });
    }
    remember(figures, '50 tcp checked', subject);
    figures.set('maps', (await subject.mapBytes()) / 1024 / 1024);
  } finally {
    await heartbeats.stop();
    await subject.remove();
  }
  return figures;
};

const LOADS: readonly (readonly [string, Load])[] = [
  ['1 tcp', { listeners: 1, mode: 'tcp', monitors: false }],
  ['50 tcp', { listeners: 50, mode: 'tcp', monitors: false }],
  ['1 tcp checked', { listeners: 1, mode: 'tcp', monitors: true }],
  ['50 tcp checked', { listeners: 50, mode: 'tcp', monitors: true }],
];

/** A fresh VM each time, as after a boot; the files are in the page cache. */
const startTime = async (contender: Contender, rounds: number): Promise<number> => {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const subject = await Subject.boot(contender, script('http-member'));
    try {
      const args = ['--pdeathsig', 'KILL', process.execPath, script('first-answer')];
      const target = [MANAGEMENT.amphora, String(AGENT_PORT)];
      const watcher = subject.world.management.spawn('setpriv', [...args, ...target], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      times.push(
        await millisecondsUntil(watcher, () => {
          subject.vm.startAgent();
        }),
      );
    } finally {
      await subject.remove();
    }
  }
  return median(times);
};

const remember = (figures: Figures, when: string, { processes }: Subject): void => {
  const { agentKib, haproxyKib, agentAnonymousKib } = processes.memory();
  figures.set(`memory ${when}`, (agentKib + haproxyKib) / 1024);
  figures.set(`memory ${when}, agent`, agentKib / 1024);
  figures.set(`memory ${when}, agent anonymous`, agentAnonymousKib / 1024);
};

/** From the reload of a load balancer that was not there until each of its listeners has answered. */
const fromNothing = async (subject: Subject, load: Load, rounds: number): Promise<number> => {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await subject.upload(load);
    times.push(await untilForwarded(subject, load, { first: 0, count: load.listeners }));
    await subject.deleteLoad();
    await sleep(500);
  }
  return median(times);
};

/** The same for one listener beside those of `load`, which are in force before and after. */
const oneMore = async (subject: Subject, load: Load, rounds: number): Promise<number> => {
  const times: number[] = [];
  const more = { ...load, listeners: load.listeners + 1 };
  for (let round = 0; round < rounds; round += 1) {
    await subject.upload(load);
    await subject.reload();
    await sleep(1000);
    await subject.upload(more);
    times.push(await untilForwarded(subject, load, { first: load.listeners, count: 1 }));
  }
  await subject.upload(load);
  await subject.reload();
  return median(times);
};

const untilForwarded = (
  subject: Subject,
  { mode }: Load,
  { first, count }: { readonly first: number; readonly count: number },
): Promise<number> => {
  const port = portsOf(mode)[first] ?? 0;
  const args = [VIP.v4, String(port), String(count), '30000', ...(mode === 'http' ? ['http'] : [])];
  const watcher = subject.world.client.spawn(inCheckout('build/tools/first-answer'), args, {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return millisecondsUntil(watcher, () => subject.reload());
};

/** Seconds of CPU per minute while nothing happens but heartbeats; throws when they do not come. */
const idleCpu = async (
  figures: Figures,
  name: string,
  { subject, heartbeats, effort }: { subject: Subject; heartbeats: Heartbeats; effort: Effort },
): Promise<void> => {
  const heard = heartbeats.heard.length;
  const before = subject.processes.cpuSeconds();
  await sleep(effort.idleSeconds * 1000);
  const after = subject.processes.cpuSeconds();
  const came = heartbeats.heard.length - heard;
  if (came < Math.floor(effort.idleSeconds / 10) - 1) throw new Error(`only ${came} heartbeats`);
  const perMinute = (seconds: number): number => (seconds * 60) / effort.idleSeconds;
  const agent = perMinute(after.agent - before.agent);
  figures.set(`cpu ${name}`, agent + perMinute(after.haproxy - before.haproxy));
  figures.set(`cpu ${name}, agent`, agent);
};

const heartbeatKey = (): string => {
  const config = amphoraFixture('amphora-agent.conf/16.0.0-SINGLE.conf');
  return /^heartbeat_key = (.*)$/m.exec(config)?.[1] ?? '';
};
