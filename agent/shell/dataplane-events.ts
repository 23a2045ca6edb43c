// SPDX-License-Identifier: Apache-2.0
// Flow events from the ring buffer. The programs write them only while somebody listens.
import type { FlowEvent } from '../core/model/dataplane.js';
import { describeEvent, flowNames } from '../core/plan/flow-record.js';
import { enums } from '../core/plan/layout.gen.js';
import { addon, type RingBuffer } from '../../native/index.js';
import type { DataplaneClock } from './dataplane-clock.js';
import type { DataplaneControl } from './dataplane-control.js';
import type { DataplaneMaps } from './dataplane-maps.js';
import type { DataplaneStore } from './dataplane-state.js';

type Listener = (events: readonly FlowEvent[]) => void;
const { CONTROL_EVENTS_CLOSE, CONTROL_EVENTS_OPEN } = enums.control_flag;

interface Source {
  readonly maps: DataplaneMaps;
  readonly clock: DataplaneClock;
  readonly control: DataplaneControl;
  readonly store: DataplaneStore;
}

export class FlowFollower {
  readonly #source: Source;
  readonly #listeners = new Set<Listener>();
  #ring: RingBuffer | null = null;

  constructor(source: Source) {
    this.#source = source;
  }

  /** Returns the function that ends it. */
  follow(onEvents: Listener): () => void {
    const listener: Listener = (events) => {
      onEvents(events); // a function of its own, so that one callback can follow twice
    };
    this.#listeners.add(listener);
    this.#ring ??= this.#open();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.close();
    };
  }

  #open(): RingBuffer {
    const { maps, clock, control, store } = this.#source;
    control.setEvents(CONTROL_EVENTS_CLOSE | CONTROL_EVENTS_OPEN);
    return addon.openRingBuffer(maps.map('events'), (records) => {
      const names = flowNames(store.state.numbers);
      const events = records.map((record) => describeEvent(record, names, clock.hz));
      for (const listener of [...this.#listeners]) listener(events);
    });
  }

  close(): void {
    if (this.#ring === null) return;
    this.#source.control.setEvents(0);
    this.#ring.close();
    this.#ring = null;
    this.#listeners.clear();
  }
}
