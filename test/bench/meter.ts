// SPDX-License-Identifier: Apache-2.0
// CPU time per packet of a program in the kernel's test-run.
import { addon, type BpfObject } from '../../native/index.js';
import { packIndex } from '../../agent/core/plan/encode.js';

export interface Batches {
  readonly count: number;
  readonly repeat: number;
}

/** ns per packet: of the best batch, and of the middle one. The best is what other tenants disturbed least. */
export interface Figure {
  readonly minimum: number;
  readonly median: number;
  readonly runs: number;
}

export type Feeder = 'random4' | 'random6' | 'sequence4' | 'sequence6' | 'same4' | 'same6';

/** Where test packets come from; see struct feed in base.bpf.c. */
export interface FeedSpec {
  /** A power of two. */
  readonly flows: number;
  readonly start?: number;
  /** How often a sequence sends each flow's packet before it goes to the next flow. */
  readonly packetsPerFlow: 1 | 2;
  readonly protocol: 6 | 17;
  readonly destinationPort: number;
  readonly vip4: Uint8Array;
  readonly vip6: Uint8Array;
}

export interface Measurement {
  readonly feeder: Feeder;
  readonly fd: number;
  readonly packet: Uint8Array;
  /** XDP verdict that the last packet of each batch must get. */
  readonly verdict: number;
  readonly ingressIfindex: number;
}

const CLIENT4 = 0x64400000;
export const FIRST_CLIENT_PORT = 10000;

export class Meter {
  readonly #feeders: BpfObject;

  constructor(objectPath: string) {
    this.#feeders = addon.openObject(objectPath);
  }

  baseFd(): number {
    return this.#feeders.programFd('base');
  }

  /** A hash lookup that hits and a redirect, nothing else. */
  bareFd(): number {
    return this.#feeders.programFd('bare');
  }

  feed(spec: FeedSpec): void {
    const record = Buffer.alloc(64);
    record.writeUInt32LE(spec.flows - 1, 0);
    record.writeUInt32LE(spec.start ?? 1, 4);
    record.writeUInt32LE(CLIENT4, 8);
    record.writeUInt16LE(FIRST_CLIENT_PORT, 12);
    record.writeUInt16BE(spec.destinationPort, 14);
    record.set(spec.vip4, 16);
    record.set([64, spec.protocol, 0x12, 0x34], 20);
    record.set([0x60, 0, 0, 0, 0, 30, spec.protocol, 64], 24); // 30: see `template` of subjects.ts
    record.set([0x20, 0x01, 0x0d, 0xb8, 0, 0xc, 0, 0], 32);
    record.set(spec.vip6, 40);
    record.writeUInt32LE(spec.packetsPerFlow - 1, 56);
    const map = this.#feeders.map('feed');
    map.update(packIndex(0), record.subarray(0, map.info.valueSize));
  }

  /** Runs `feeder` and behind it the program `fd`, `repeat` times; returns the last verdict. */
  run(
    feeder: Feeder,
    fd: number,
    packet: Uint8Array,
    repeat: number,
    ingressIfindex: number,
  ): number {
    this.#feeders.map('next').update(packIndex(0), packIndex(fd));
    return this.#feeders.testRun(feeder, packet, { repeat, ingressIfindex }).verdict;
  }

  /** Throws when a batch ends in another verdict than the one that is to be measured. */
  measure(spec: Measurement, { count, repeat }: Batches): Figure {
    const { feeder, fd, packet, ingressIfindex } = spec;
    this.run(feeder, fd, packet, repeat >> 2, ingressIfindex); // caches, branch predictors, dispatcher
    const batches = Array.from({ length: count }, () => {
      const before = process.cpuUsage();
      const verdict = this.run(feeder, fd, packet, repeat, ingressIfindex);
      const { user, system } = process.cpuUsage(before);
      if (verdict !== spec.verdict)
        throw new Error(`verdict ${verdict} instead of ${spec.verdict} behind ${feeder}`);
      return ((user + system) * 1000) / repeat;
    }).sort((a, b) => a - b);
    const [minimum = 0] = batches;
    return { minimum, median: batches[count >> 1] ?? minimum, runs: count };
  }

  close(): void {
    this.#feeders.close();
  }
}
