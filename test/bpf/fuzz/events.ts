// SPDX-License-Identifier: Apache-2.0
// Flows as the datapath tells of them: opened and ended, each of them one that was seen on the wires.
import { setTimeout as sleep } from 'node:timers/promises';
import assert from 'node:assert/strict';
import { addon, type RingBuffer } from '../../../native/index.js';
import { unpack } from '../../../agent/core/plan/encode.js';
import { enums, structs } from '../../../agent/core/plan/layout.gen.js';
import { LISTENERS } from './population.js';
import { FIRST_NUMBER } from '../support/board-spec.js';
import type { Switchboard } from '../support/switchboard.js';

const { FLOW_EVENT_OPEN, FLOW_EVENT_REFUSE } = enums.flow_event_type;
/** How long the rings' reader may take to bring what the kernel wrote. */
const PATIENCE_MS = 10_000;

export class EventCount {
  opened = 0;
  ended = 0;
  /** Ends of flows whose listener has a log, by either ring. */
  endedWithLog = 0;
  logged = 0;
  refused = 0;
  readonly #rings: readonly RingBuffer[];

  constructor(board: Switchboard) {
    this.#rings = [
      addon.openRingBuffer(board.map('events'), (records) => {
        for (const record of records) this.#take(unpack(structs.flow_event, record));
      }),
      addon.openRingBuffer(board.map('log_events'), (records) => {
        for (const { type } of records.map((record) => unpack(structs.flow_event, record)))
          if (type === FLOW_EVENT_REFUSE) this.refused += 1;
          else this.logged += 1;
      }),
    ];
  }

  /** Waits until opened less ended is what the tables hold. */
  async settle(open: number): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (
      (this.opened - this.ended !== open || this.logged !== this.endedWithLog) &&
      Date.now() < deadline
    )
      await sleep(1);
    assert.equal(
      this.opened - this.ended,
      open,
      'flows opened less flows ended, and flows in the tables',
    );
    assert.equal(
      this.logged,
      this.endedWithLog,
      'ends in the log, and ends of listeners that have one',
    );
  }

  close(): void {
    for (const ring of this.#rings) ring.close();
  }

  #take({ type, listener }: { type: number; listener: number }): void {
    if (type === FLOW_EVENT_OPEN) this.opened += 1;
    else {
      this.ended += 1;
      const flags = LISTENERS[listener - FIRST_NUMBER]?.flags ?? 0;
      if (flags & enums.listener_flag.LISTENER_LOG) this.endedWithLog += 1;
    }
  }
}
