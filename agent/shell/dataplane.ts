// SPDX-License-Identifier: Apache-2.0
// The dataplane over the kernel: adopts or makes the maps, brings them to what is wanted, reads them.
import { existsSync, rmSync } from 'node:fs';
import { asCurrent, type CurrentTables, diffTables, EMPTY_TABLES } from '../core/plan/diff.js';
import { assignNumbers } from '../core/plan/numbers.js';
import { partsOf } from '../core/plan/parts.js';
import { SlotMemo } from '../core/plan/slot-memo.js';
import type { PoolPlan } from '../core/plan/slots.js';
import { recoverNumbers } from '../core/plan/state.js';
import { buildTables } from '../core/plan/tables.js';
import type {
  ApplyReport,
  Counters,
  Dataplane,
  FlowEvent,
  FlowFilter,
  FlowRecord,
  StartReport,
  WantedState,
} from '../core/model/dataplane.js';
import { DataplaneClock } from './dataplane-clock.js';
import { DataplaneControl } from './dataplane-control.js';
import { readCounters } from './dataplane-counters.js';
import { evictFlows } from './dataplane-evict.js';
import { FlowFollower } from './dataplane-events.js';
import { FlowLog } from './flow-log.js';
import { listFlows } from './dataplane-flows.js';
import { DataplaneHooks } from './dataplane-hooks.js';
import { DataplaneLayouts, formerLives } from './dataplane-layouts.js';
import { DataplaneMaps } from './dataplane-maps.js';
import type { DataplaneOptions } from './dataplane-options.js';
import { DataplaneStore, lifeOf } from './dataplane-state.js';
import { DataplaneSweep } from './dataplane-sweep.js';
import { DataplaneTakeover } from './dataplane-takeover.js';
import { DataplaneWriter } from './dataplane-writer.js';

/** Everything that exists between start() and close(). */
interface Running {
  readonly maps: DataplaneMaps;
  readonly clock: DataplaneClock;
  readonly control: DataplaneControl;
  readonly store: DataplaneStore;
  readonly writer: DataplaneWriter;
  readonly hooks: DataplaneHooks;
  readonly sweep: DataplaneSweep;
  readonly follower: FlowFollower;
  readonly log: FlowLog;
  readonly memo: SlotMemo;
  /** Maps of another layout whose programs still serve; null once ours do. */
  takeover: DataplaneTakeover | null;
  /** What the maps hold. */
  current: CurrentTables;
  /** Numbers of members whose flows end with their health (contract 4.5.3), when last applied. */
  evictable: ReadonlySet<number>;
}

/** Numbers of UDP members that may have flows. Those that leave this set lose their flows at once. */
const healthyUdpMembers = (running: Running, wanted: WantedState): Set<number> => {
  const { members } = running.store.state.numbers;
  const numbers = partsOf(wanted.listeners)
    .filter(({ listener }) => listener.protocol === 'UDP' && listener.enabled)
    .flatMap((part) => part.pool?.members ?? [])
    .filter(({ member, monitorKey }) => member.enabled && !wanted.down.has(monitorKey))
    .map(({ key }) => members[key]?.number ?? -1);
  return new Set(numbers);
};

const udpMembers = (running: Running): Set<number> => {
  const { members, listeners } = running.store.state.numbers;
  const udp = Object.values(listeners).filter(({ protocol }) => protocol === 'UDP');
  const numbers = new Set(udp.map(({ number }) => number));
  const found = Object.values(members).filter((member) => numbers.has(member.listener));
  return new Set(found.map(({ number }) => number));
};

export class KernelDataplane implements Dataplane {
  readonly #options: DataplaneOptions;
  #running: Running | null = null;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: DataplaneOptions) {
    this.#options = options;
  }

  get #run(): Running {
    if (this.#running === null) throw new Error('the dataplane has not been started');
    return this.#running;
  }

  /** One change of state at a time: apply and the sweep both write the state file. */
  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async start(): Promise<StartReport> {
    if (this.#running !== null) throw new Error('the dataplane runs already');
    const maps = new DataplaneMaps(this.#options);
    try {
      this.#running = await this.#open(maps);
    } catch (error) {
      maps.close();
      throw error;
    }
    if (this.#running.takeover === null) this.#running.sweep.start();
    this.#running.log.start();
    const flowCapacity = maps.map('flows4').info.maxEntries / 2;
    const fields = { adopted: maps.adopted, flowCapacity, hz: this.#running.clock.hz };
    const message = maps.adopted ? 'pinned maps adopted' : 'maps made anew';
    this.#options.logger.info({ ...fields, directory: maps.directory }, message);
    return { adopted: maps.adopted, flowCapacity };
  }

  async #open(maps: DataplaneMaps): Promise<Running> {
    const options = this.#options;
    const clock = await DataplaneClock.measure(maps);
    const control = new DataplaneControl(maps.map('control'));
    control.configure(options, clock, {
      cache: maps.map('cache4').info.maxEntries,
      recent: maps.map('recent').info.maxEntries,
    });
    const layouts = new DataplaneLayouts({ ...options, ownDirectory: maps.directory });
    const former = await layouts.former();
    const life = lifeOf(maps.map('members').info.id);
    const store = new DataplaneStore(options.stateDirectory, life, formerLives(former));
    const known = await store.load();
    await layouts.describe();
    const writer = new DataplaneWriter(maps, control);
    const current = maps.adopted ? writer.read(store.state.slots) : EMPTY_TABLES;
    if (maps.adopted && !known && current.members.size > 0) {
      options.logger.warn({ members: current.members.size }, 'state file lost, numbers recovered');
      await store.save({ numbers: recoverNumbers(current.members) });
    }
    const hooks = new DataplaneHooks(maps, options);
    const { logger } = options;
    const takeover =
      former.length > 0
        ? new DataplaneTakeover({ maps, control, layouts, former, known, logger })
        : null;
    if (takeover === null) hooks.adopt();
    else logger.warn({ names: former.map(({ name }) => name) }, 'maps of another layout found');
    const serial = <T>(work: () => Promise<T>): Promise<T> => this.#serial(work);
    const sweep = new DataplaneSweep({ maps, clock, store, serial, ...options });
    const follower = new FlowFollower({ maps, clock, control, store });
    const log = new FlowLog({ maps, clock, control, store, logger: options.logger });
    const parts = { maps, clock, control, store, writer, hooks, sweep, follower, log, current };
    const running: Running = { ...parts, takeover, memo: new SlotMemo(), evictable: new Set() };
    running.evictable = udpMembers(running);
    return running;
  }

  apply(wanted: WantedState): Promise<ApplyReport> {
    return this.#serial(async () => {
      const running = this.#run;
      const { maps, clock, store, writer, memo } = running;
      const numbers = assignNumbers(store.state.numbers, partsOf(wanted.listeners), {
        listeners: maps.map('listeners').info.maxEntries,
        pools: maps.map('pools').info.maxEntries,
        members: maps.map('members').info.maxEntries,
      });
      // First, so that after a crash below nobody hands a written number to another member.
      await store.save({ numbers });
      const { snatSource = 'vip' } = this.#options;
      memo.begin();
      const slots = (plan: PoolPlan): Uint32Array => memo.slots(plan);
      const tables = buildTables(wanted, numbers, { clock, snatSource, slots });
      const writes = await this.#write(running, diffTables(running.current, tables));
      running.current = asCurrent(tables);
      await store.save({ slots: Object.fromEntries(writer.slots) });
      running.sweep.setNumbers(numbers);
      const hooks = await this.#attach(running, wanted.interfaces);
      const healthy = healthyUdpMembers(running, wanted);
      const lost = new Set([...running.evictable].filter((number) => !healthy.has(number)));
      // What the programs remember of evicted flows for a moment goes with the generation.
      if ((await evictFlows(maps, lost)) > 0) running.control.bumpGeneration();
      running.evictable = healthy;
      return { writes, hooks };
    });
  }

  async #attach(
    running: Running,
    interfaces: WantedState['interfaces'],
  ): Promise<ApplyReport['hooks']> {
    const { hooks, takeover, sweep } = running;
    if (takeover === null) return hooks.apply(interfaces);
    hooks.load(interfaces);
    const report = await takeover.complete(() => {
      hooks.adopt();
      return hooks.apply(interfaces);
    });
    running.takeover = null;
    sweep.start();
    return report;
  }

  async #write(
    running: Running,
    changes: ReturnType<typeof diffTables>,
  ): Promise<Record<string, number>> {
    try {
      return await running.writer.write(changes);
    } catch (error) {
      // Half of the changes may be in the maps: the next apply starts from what they really hold.
      running.current = running.writer.read(Object.fromEntries(running.writer.slots));
      throw error;
    }
  }

  bumpGeneration(): void {
    this.#run.control.bumpGeneration();
  }

  counters(): Counters {
    const { maps, store, log } = this.#run;
    return { ...readCounters(maps, store.state), log: log.counters() };
  }

  flows(filter: FlowFilter): FlowRecord[] {
    const { maps, clock, store } = this.#run;
    return listFlows({ maps, clock, numbers: store.state.numbers }, filter);
  }

  follow(onEvents: (events: readonly FlowEvent[]) => void): () => void {
    return this.#run.follower.follow(onEvents);
  }

  /** The kernel's clock as flows are stamped with it: HZ, and the stamp of now. */
  clock(): { readonly hz: number; readonly stamp: number } {
    const { clock } = this.#run;
    return { hz: clock.hz, stamp: clock.stamp() };
  }

  /** One whole look at the flow tables, now. */
  sweep(): Promise<void> {
    return this.#run.sweep.pass();
  }

  /** Before close(): lets the lines of flows that have been taken from the ring be written. */
  async stopLog(): Promise<void> {
    await this.#running?.log.stop();
  }

  close(): void {
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    running.sweep.stop();
    running.follower.close();
    running.log.close();
    running.hooks.close();
    running.maps.close();
  }

  async remove(): Promise<void> {
    const running = this.#running;
    if (running !== null) {
      running.sweep.stop();
      await this.#queue;
      running.hooks.remove();
      this.close();
    }
    if (existsSync(this.#options.pinDirectory))
      rmSync(this.#options.pinDirectory, { recursive: true });
  }
}
