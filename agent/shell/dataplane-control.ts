// SPDX-License-Identifier: Apache-2.0
// The control word block, mapped into the agent: every store is at once what the programs read.
import { type Clock, secondsToStamps, stampsToSeconds } from '../core/plan/clock.js';
import { enums, structs } from '../core/plan/layout.gen.js';
import { addon, type BpfMap } from '../../native/index.js';
import type { DataplaneOptions } from './dataplane-options.js';

const FIELDS = structs.control.fields;
const { CONTROL_EVENTS_CLOSE, CONTROL_EVENTS_OPEN, CONTROL_TAKEOVER } = enums.control_flag;
const SNAT_PORTS = { min: 10_240, max: 65_535 };
/** A client repeats its SYN after one second: by then its member has had most of that. */
const RESELECT_SECONDS = 0.75;
const SUSPECT_SECONDS = 5;
/** Linux's TIME_WAIT. */
export const CLOSED_SECONDS = 60;
const GUARD_PER_SECOND = 200_000;
/** Part of the guard's limit that each listener may use whatever the others do. */
const GUARD_SHARE = 1 / 4;

/** max_entries of the maps that are indexed by hash, `cache4` and `cache6` by CPU too. */
export interface ControlLines {
  readonly cache: number;
  readonly recent: number;
}

export class DataplaneControl {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;

  constructor(map: BpfMap) {
    this.#bytes = map.mmap();
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  }

  #set(field: { readonly offset: number; readonly kind: string }, value: number): void {
    if (field.kind === 'u16') this.#view.setUint16(field.offset, value, true);
    else this.#view.setUint32(field.offset, value, true);
  }

  /** All but the bitmap, which belongs to the tables. `lines`: of cache4 and of recent, as the kernel has them. */
  configure(options: DataplaneOptions, clock: Clock, lines: ControlLines): void {
    const { min, max } = options.snatPorts ?? SNAT_PORTS;
    const guard = (options.guardPerSecond ?? GUARD_PER_SECOND) * stampsToSeconds(1, clock);
    this.#set(FIELDS.guard_limit, Math.ceil(guard));
    this.#set(FIELDS.guard_share, Math.ceil(guard * GUARD_SHARE));
    this.#set(FIELDS.snat_port_min, min);
    this.#set(FIELDS.snat_port_max, max);
    this.#set(FIELDS.reselect_stamps, secondsToStamps(RESELECT_SECONDS, clock));
    this.#set(FIELDS.suspect_stamps, secondsToStamps(SUSPECT_SECONDS, clock));
    this.#set(FIELDS.closed_stamps, secondsToStamps(CLOSED_SECONDS, clock));
    const cpus = addon.possibleCpus();
    this.#set(FIELDS.cache_cpus, cpus);
    this.#set(FIELDS.cache_mask, Math.floor(lines.cache / cpus) - 1);
    this.#set(FIELDS.recent_mask, lines.recent - 1);
    this.#set(FIELDS.flags, 0);
    this.bumpGeneration();
  }

  /** Next hops are looked up anew. Never 0, which is what an empty entry holds. */
  bumpGeneration(): void {
    const next = (this.#view.getUint32(FIELDS.generation.offset, true) + 1) >>> 0;
    this.#set(FIELDS.generation, next === 0 ? 1 : next);
  }

  /** Which records go to `events`; see enum control_flag. */
  setEvents(flags: number): void {
    this.#setFlags(flags, CONTROL_EVENTS_OPEN | CONTROL_EVENTS_CLOSE);
  }

  /** Connections that nobody knows are met with silence. */
  setTakingOver(isOn: boolean): void {
    this.#setFlags(isOn ? CONTROL_TAKEOVER : 0, CONTROL_TAKEOVER);
  }

  #setFlags(flags: number, mask: number): void {
    const before = this.#view.getUint32(FIELDS.flags.offset, true);
    this.#set(FIELDS.flags, (before & ~mask) | flags);
  }

  /** Records of `log_events` that this or an earlier agent has taken, and those whose line is written or counted lost. */
  logProgress(): { readonly taken: number; readonly done: number } {
    return {
      taken: this.#view.getUint32(FIELDS.log_taken.offset, true),
      done: this.#view.getUint32(FIELDS.log_done.offset, true),
    };
  }

  addLogTaken(records: number): void {
    this.#set(FIELDS.log_taken, (this.logProgress().taken + records) >>> 0);
  }

  addLogDone(records: number): void {
    this.#set(FIELDS.log_done, (this.logProgress().done + records) >>> 0);
  }

  bitmap(): Uint8Array {
    const { offset, count } = FIELDS.local_bitmap;
    return this.#bytes.slice(offset, offset + count * 8);
  }

  /** Word by word, so that a program never reads half of one. */
  setBitmap(bytes: Uint8Array): void {
    const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.length; at += 8)
      this.#view.setBigUint64(FIELDS.local_bitmap.offset + at, words.getBigUint64(at, true), true);
  }
}
