// SPDX-License-Identifier: Apache-2.0
// The datapath's own counts, read after each packet: what a verdict must have moved, and nothing else.
import { structs, enums } from '../../../agent/core/plan/layout.gen.js';
import type { BpfMap } from '../../../native/index.js';
import type { Reason } from '../support/board-spec.js';
import type { Switchboard } from '../support/switchboard.js';

const REASONS = Object.entries(enums.reason)
  .filter(([name]) => name !== 'REASON_MAX')
  .map(([name, index]) => [name.replace('REASON_', '') as Reason, index] as const);

const { member_counters: layout } = structs;

export interface Counts {
  readonly reasons: Readonly<Record<Reason, number>>;
  /** Of all members, both directions. */
  readonly packets: number;
  readonly bytes: number;
}

export class Ledger {
  readonly #reasons: BpfMap;
  readonly #members: BpfMap;
  #last: Counts;

  constructor(board: Switchboard) {
    this.#reasons = board.map('reasons');
    this.#members = board.map('member_counters');
    this.#last = this.#read();
  }

  /** What has been counted since the last call. */
  moved(): Counts {
    const before = this.#last;
    const now = this.#read();
    this.#last = now;
    const reasons = Object.fromEntries(
      REASONS.map(([name]) => [name, now.reasons[name] - before.reasons[name]]),
    ) as Record<Reason, number>;
    return { reasons, packets: now.packets - before.packets, bytes: now.bytes - before.bytes };
  }

  #read(): Counts {
    const reasons = numbers(this.#reasons);
    const width = this.#reasons.info.valueSize / 8;
    const members = numbers(this.#members);
    const record = layout.size / 8;
    const sums = [0, 0, 0, 0].map((_, field) => {
      let sum = 0;
      for (let at = field; at < members.length; at += record) sum += Number(members[at] ?? 0n);
      return sum;
    });
    const [rxPackets = 0, rxBytes = 0, txPackets = 0, txBytes = 0] = sums;
    return {
      reasons: Object.fromEntries(
        REASONS.map(([name, index]) => {
          const ofCpus = reasons.subarray(index * width, (index + 1) * width);
          return [name, Number(ofCpus.reduce((sum, count) => sum + count, 0n))];
        }),
      ) as Record<Reason, number>,
      packets: rxPackets + txPackets,
      bytes: rxBytes + txBytes,
    };
  }
}

/** All values of a per-CPU array of 64-bit counts, one after another; its keys come in order. */
const numbers = (map: BpfMap): BigUint64Array => {
  const { values } = map.dump();
  return new BigUint64Array(values.slice().buffer);
};
