// SPDX-License-Identifier: Apache-2.0
// The sweep: ends idle flows, frees numbers in quarantine, corrects counters. Never on a packet's path.
import { retireCounts } from '../core/plan/counts.js';
import { concatRecords } from '../core/plan/encode.js';
import { CROWDED, idleLimits } from '../core/plan/idle.js';
import { goneMembers, type Numbers, releaseNumbers } from '../core/plan/numbers.js';
import {
  newTally,
  scanFlows,
  type ScanRules,
  type ScanTally,
  type Slice,
  twinKey,
} from '../core/plan/scan.js';
import type { DataplaneClock } from './dataplane-clock.js';
import { counterReader } from './dataplane-counters.js';
import type { DataplaneMaps } from './dataplane-maps.js';
import type { DataplaneLogger } from './dataplane-options.js';
import { forgetPersistence } from './dataplane-persistence.js';
import { reapFlows } from './dataplane-reap.js';
import { OpenRecount } from './dataplane-recount.js';
import { type FlowTable, shapeOf, SLICE_RECORDS, slicesOf } from './dataplane-slices.js';
import type { DataplaneStore } from './dataplane-state.js';

const DEFAULT_MS = 1000;
/** A whole look at the tables is spread over this many ticks. */
const TICKS_PER_PASS = 5;
/** Over more ticks, though, where a million flows would take more of a CPU than this per tick... */
const TICK_MS = 75;
/** ...but never over more than so many times as many. */
const SLOWEST = 4;
/** Half-open first: what is promoted during a pass is met where it goes. */
const TABLES: readonly FlowTable[] = ['half4', 'half6', 'flows4', 'flows6'];

interface Parts {
  readonly maps: DataplaneMaps;
  readonly clock: DataplaneClock;
  readonly store: DataplaneStore;
  readonly logger: DataplaneLogger;
  readonly serial: <T>(work: () => Promise<T>) => Promise<T>;
  readonly sweepMs?: number;
}

export class DataplaneSweep {
  readonly #parts: Parts;
  readonly #recount: OpenRecount;
  #numbers: Numbers | null = null;
  #timer: NodeJS.Timeout | null = null;
  #pass: AsyncGenerator<undefined, void> | null = null;
  #ticking: Promise<void> = Promise.resolve();
  #isTicking = false;
  #isCrowded = false;
  /** Ticks to let pass: empty tables are looked at once in the time that full ones take. */
  #restTicks = 0;
  /** Gone members that the last pass did not meet: a second such pass frees them. */
  #unseen: ReadonlySet<number> = new Set();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#recount = new OpenRecount(parts.maps, parts.logger);
  }

  start(): void {
    const period = this.#parts.sweepMs ?? DEFAULT_MS;
    if (period === 0) return;
    this.#timer = setInterval(() => {
      if (this.#isTicking) return; // a busy machine: the pass takes longer, ticks do not pile up
      this.#isTicking = true;
      this.#ticking = this.#ticking
        .then(() => this.#tick())
        .finally(() => {
          this.#isTicking = false;
        });
    }, period);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#numbers = null;
  }

  /** Before the first call nothing is known of timeouts, so nothing ends. */
  setNumbers(numbers: Numbers): void {
    this.#numbers = numbers;
  }

  /** A whole look, now; after one that is under way. */
  pass(): Promise<void> {
    const result = this.#ticking.then(async () => {
      if (this.#pass !== null) await this.#steps(Infinity);
      await this.#steps(Infinity);
    });
    this.#ticking = result.catch(() => undefined);
    return result;
  }

  async #tick(): Promise<void> {
    const { maps, logger } = this.#parts;
    if (this.#restTicks > 0) {
      this.#restTicks--;
      return;
    }
    try {
      const records = maps.map('flows4').info.maxEntries + maps.map('flows6').info.maxEntries;
      await this.#steps(Math.ceil(records / TICKS_PER_PASS / SLICE_RECORDS));
    } catch (error) {
      if (this.#timer === null) return; // closed meanwhile
      this.#pass = null;
      logger.error({ error }, 'sweep failed, begins anew');
    }
  }

  /** Continues the pass under way by up to `slices` slices, fewer when they take long. */
  async #steps(slices: number): Promise<void> {
    if (this.#numbers === null) return;
    this.#pass ??= this.#newPass(this.#numbers);
    const begin = performance.now();
    for (let step = 0; step < slices; step++) {
      const { done } = await this.#pass.next();
      if (done === true) {
        this.#pass = null;
        return;
      }
      if (this.#isStopped()) return;
      if (step * SLOWEST >= slices && performance.now() - begin > TICK_MS) return;
    }
  }

  #isStopped(): boolean {
    return this.#numbers === null;
  }

  async *#newPass(numbers: Numbers): AsyncGenerator<undefined, void> {
    const { maps, clock } = this.#parts;
    const members = maps.map('members').info.maxEntries;
    const limits = idleLimits(numbers, members, clock, this.#isCrowded);
    const gone = new Set(goneMembers(numbers).map(({ number }) => number));
    const all = newTally(members);
    let fullest = 0;
    for (const table of TABLES) {
      if (gone.size === 0 && table.startsWith('half')) continue; // they forget by themselves
      const before = all.records;
      for await (const slice of slicesOf(maps, table)) {
        this.#look(table, slice, { ...limits, now: clock.stamp() }, all);
        yield undefined;
      }
      const filled = (all.records - before) / maps.map(table).info.maxEntries;
      if (!table.startsWith('half')) fullest = Math.max(fullest, filled);
    }
    this.#restTicks = all.records === 0 && gone.size === 0 ? TICKS_PER_PASS - 1 : 0;
    this.#noteFullness(fullest);
    this.#recount.check(numbers, all);
    await this.#release(gone, all);
  }

  #look(table: FlowTable, slice: Slice, rules: ScanRules, tally: ScanTally): void {
    const { maps } = this.#parts;
    const form = shapeOf(table);
    const { idle, orphans } = scanFlows(form, slice, rules, tally);
    if (table.startsWith('half')) return;
    for (const [limit, keys] of idle) {
      const idleBefore = (rules.now - limit) >>> 0;
      reapFlows(maps, { family: form.family, keys, idleBefore });
    }
    this.#dropOrphans(table, slice, orphans);
  }

  /** Member halves left alone by a crash between two writes would hold their SNAT ports for ever. */
  #dropOrphans(table: FlowTable, slice: Slice, indexes: readonly number[]): void {
    const map = this.#parts.maps.map(table);
    const form = shapeOf(table);
    const keys = indexes.flatMap((index) => {
      const key = slice.keys.subarray(index * form.keySize, (index + 1) * form.keySize);
      const value = slice.values.subarray(index * form.valueSize, (index + 1) * form.valueSize);
      const clientKey = twinKey(form, key, value);
      const client = map.lookup(clientKey);
      const isPair = client !== null && Buffer.compare(twinKey(form, clientKey, client), key) === 0;
      return isPair ? [] : [key];
    });
    if (keys.length > 0) map.deleteBatch(concatRecords(keys));
  }

  #noteFullness(filled: number): void {
    const isCrowded = filled > CROWDED;
    if (isCrowded === this.#isCrowded) return;
    this.#isCrowded = isCrowded;
    const fields = { filledPercent: Math.round(filled * 100) };
    if (isCrowded) this.#parts.logger.warn(fields, 'flow table crowded, idle timeouts shortened');
    else this.#parts.logger.info(fields, 'flow table has room, idle timeouts as configured');
  }

  async #release(gone: ReadonlySet<number>, { halves }: ScanTally): Promise<void> {
    const { maps, store, serial, logger } = this.#parts;
    const unseen = new Set([...gone].filter((number) => halves[number] === 0));
    const free = new Set([...unseen].filter((number) => this.#unseen.has(number)));
    this.#unseen = unseen;
    if (free.size === 0 && !this.#hasEmptyListeners()) return;
    await serial(async () => {
      if (this.#isStopped()) return;
      const numbers = releaseNumbers(store.state.numbers, free);
      forgetPersistence(maps, free);
      await store.save(retireCounts(store.state, numbers, counterReader(maps)));
      this.#numbers = numbers;
      if (free.size > 0) logger.debug({ members: free.size }, 'member numbers released');
    });
  }

  /** Gone listeners without members are freed by the next release, whoever causes it. */
  #hasEmptyListeners(): boolean {
    const numbers = this.#numbers;
    if (numbers === null) return false;
    const named = new Set(Object.values(numbers.members).map(({ listener }) => listener));
    return Object.values(numbers.listeners).some((l) => !l.live && !named.has(l.number));
  }
}
