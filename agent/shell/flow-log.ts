// SPDX-License-Identifier: Apache-2.0
// The log of flows: from the datapath's ring to the receivers that the configs name. One batch at a time; what comes
// meanwhile waits in the ring, and what the ring cannot hold is lost and counted.
import { hostname } from 'node:os';
import { type FlowLogCounters, lostLines } from '../core/model/flow-log.js';
import { describeEnd, logNames } from '../core/log/flow-end.js';
import { type LogFormat, compileLogFormat } from '../core/log/log-format.js';
import { type LogTarget, logHeader, logMessage } from '../core/log/log-target.js';
import type { LogContext } from '../core/log/logged-flow.js';
import { packIndex } from '../core/plan/encode.js';
import { enums, structs } from '../core/plan/layout.gen.js';
import { sumWords } from '../core/plan/counts.js';
import { type RingBuffer, addon } from '../../native/index.js';
import type { DataplaneClock } from './dataplane-clock.js';
import type { DataplaneControl } from './dataplane-control.js';
import type { DataplaneMaps } from './dataplane-maps.js';
import type { DataplaneLogger } from './dataplane-options.js';
import type { DataplaneStore } from './dataplane-state.js';
import { counterReader } from './dataplane-counters.js';
import { LogSender } from './log-sender.js';
import { localMoment, monotonicToWall, utcMoment } from './wall-clock.js';

/** Clients that nobody serves pay nothing for a line: theirs must not be all that is read. */
const REFUSALS_PER_SECOND = 200;
/** How often losses are told, at most. */
const COMPLAIN_MS = 10_000;

interface FlowLogParts {
  readonly maps: DataplaneMaps;
  readonly clock: DataplaneClock;
  readonly control: DataplaneControl;
  readonly store: DataplaneStore;
  readonly logger: DataplaneLogger;
}

export class FlowLog {
  readonly #parts: FlowLogParts;
  readonly #formats = new Map<string, LogFormat>();
  readonly #senders = new Map<string, LogSender>();
  readonly #lost = { receiver: 0, listener: 0, refusals: 0, restart: 0 };
  #written = 0;
  #refusals = { second: 0, count: 0 };
  #ring: RingBuffer | null = null;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();
  #isClosed = false;
  #told: number;

  constructor(parts: FlowLogParts) {
    this.#parts = parts;
    this.#told = this.#lostInRing();
  }

  /** Goes on where an earlier agent stopped: the ring has kept what ended meanwhile. */
  start(): void {
    const { control, maps } = this.#parts;
    const { taken, done } = control.logProgress();
    this.#lost.restart = (taken - done) >>> 0;
    control.addLogDone(this.#lost.restart);
    this.#ring = addon.openRingBuffer(maps.map('log_events'), (records) => {
      this.#take(records);
    });
    this.#timer = setInterval(() => {
      this.#complain();
    }, COMPLAIN_MS);
    this.#timer.unref();
    this.#complain();
  }

  counters(): FlowLogCounters {
    const receivers = [...this.#senders].map(([path, { code }]) => [path, code] as const);
    return {
      written: this.#written,
      lost: { ring: this.#lostInRing(), ...this.#lost },
      receivers: Object.fromEntries(receivers),
    };
  }

  /** Takes no more, and waits for what has been taken. */
  async stop(): Promise<void> {
    this.#closeRing();
    await this.#writing;
  }

  /** The maps go: what is under way counts as lost for the next agent. */
  close(): void {
    this.#closeRing();
    this.#isClosed = true;
  }

  #closeRing(): void {
    this.#ring?.close();
    this.#ring = null;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #take(records: readonly Uint8Array[]): void {
    const { control, logger } = this.#parts;
    control.addLogTaken(records.length);
    this.#ring?.pause();
    this.#writing = this.#write(records)
      .catch((error: unknown) => {
        logger.error({ err: error }, 'flow log lines not written');
      })
      .finally(() => {
        if (this.#isClosed) return;
        control.addLogDone(records.length);
        this.#ring?.resume();
      });
  }

  async #write(records: readonly Uint8Array[]): Promise<void> {
    for (const [path, messages] of this.#render(records)) {
      this.#lost.receiver += messages.length; // until it is known better, so that a failure counts too
      const sent = await this.#sender(path).send(messages);
      this.#written += sent;
      this.#lost.receiver -= sent;
    }
  }

  /** Messages by the path of their receiver. */
  #render(records: readonly Uint8Array[]): Map<string, Buffer[]> {
    const names = logNames(this.#parts.store.state.numbers);
    const clock = { hz: this.#parts.clock.hz, wallMs: monotonicToWall() };
    const context = this.#context();
    const now = localMoment(Date.now());
    const byPath = new Map<string, Buffer[]>();
    for (const record of records) {
      if (isRefusal(record) && !this.#admitsRefusal()) continue;
      const ended = describeEnd(record, names, clock);
      if (ended?.listener.log === undefined) {
        this.#lost.listener++; // logging was switched off meanwhile
        continue;
      }
      const { format, targets } = ended.listener.log;
      const line = this.#format(format)(ended.flow, context);
      for (const target of targets) {
        const message = messageFor(target, line, { now, pid: context.pid });
        const list = byPath.get(target.path);
        if (list === undefined) byPath.set(target.path, [message]);
        else list.push(message);
      }
    }
    return byPath;
  }

  #admitsRefusal(): boolean {
    const second = Math.floor(performance.now() / 1000);
    if (this.#refusals.second !== second) this.#refusals = { second, count: 0 };
    if (++this.#refusals.count <= REFUSALS_PER_SECOND) return true;
    this.#lost.refusals++;
    return false;
  }

  #format(text: string): LogFormat {
    const known = this.#formats.get(text);
    if (known !== undefined) return known;
    if (this.#formats.size > 1000) this.#formats.clear(); // formats come and go with uploads
    const compiled = compileLogFormat(text);
    this.#formats.set(text, compiled);
    return compiled;
  }

  #sender(path: string): LogSender {
    const known = this.#senders.get(path);
    if (known !== undefined) return known;
    const sender = new LogSender(path);
    this.#senders.set(path, sender);
    return sender;
  }

  /** Open flows are read when a format asks, once for each batch. */
  #context(): LogContext {
    const { maps, store } = this.#parts;
    const reader = counterReader(maps);
    const byId = new Map<string, number>();
    const count = (): void => {
      for (const { number, listenerId } of Object.values(store.state.numbers.listeners))
        byId.set(listenerId, (byId.get(listenerId) ?? 0) + reader.listenerOpen(number));
    };
    const open: LogContext['open'] = (listenerId) => {
      if (byId.size === 0) count();
      const all = [...byId.values()].reduce((sum, one) => sum + one, 0);
      return { all, listener: byId.get(listenerId) ?? 0 };
    };
    const host = { pid: process.pid, hostName: hostname() };
    return { ...host, local: localMoment, utc: utcMoment, open };
  }

  #lostInRing(): number {
    const index = packIndex(enums.reason.REASON_LOG_LOST);
    return (
      sumWords(this.#parts.maps.map('reasons').lookup(index) ?? new Uint8Array(), 8, 1)[0] ?? 0
    );
  }

  /** The tenant's stream holds nothing but flows (contract 9.2): losses are told in the agent's log. */
  #complain(): void {
    const { lost, receivers } = this.counters();
    const sum = lostLines({ lost });
    if (sum === this.#told) return;
    const lines = sum - this.#told;
    this.#told = sum;
    this.#parts.logger.warn({ lines, lost, receivers }, 'flow log lines lost');
  }
}

const isRefusal = (record: Uint8Array): boolean =>
  record[structs.flow_event.fields.type.offset] === enums.flow_event_type.FLOW_EVENT_REFUSE;

const messageFor = (
  target: LogTarget,
  line: string,
  { now, pid }: { readonly now: Parameters<typeof logHeader>[1]; readonly pid: number },
): Buffer => logMessage(logHeader(target, now, pid), line, target);
