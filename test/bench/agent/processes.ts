// SPDX-License-Identifier: Apache-2.0
// What the processes of a VM weigh and have used: the agent's own, its helpers, HAProxy.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { AmphoraVm } from '../../support/amphora-vm.js';

export interface Memory {
  /** Proportional share of every page, in KiB. */
  readonly agentKib: number;
  readonly haproxyKib: number;
  /** The agent's pages that no file backs: what a machine cannot take back. */
  readonly agentAnonymousKib: number;
  readonly processes: number;
}

/** Clock ticks of utime, stime, cutime and cstime; USER_HZ is 100 on every machine that runs this. */
const TICKS_PER_SECOND = 100;

export class Processes {
  readonly #proc: string;
  /** Those of the VM that no agent started. */
  readonly #furniture: ReadonlySet<number>;

  /** To be made before the agent starts. */
  constructor(vm: AmphoraVm) {
    this.#proc = vm.path('/proc');
    this.#furniture = new Set(this.#all());
  }

  memory(): Memory {
    let [agentKib, haproxyKib, agentAnonymousKib, processes] = [0, 0, 0, 0];
    for (const pid of this.#agents()) {
      const text = this.#read(pid, 'smaps_rollup');
      if (text === '') continue;
      processes += 1;
      if (this.#program(pid).includes('haproxy')) {
        haproxyKib += kib(text, 'Pss');
        continue;
      }
      agentKib += kib(text, 'Pss');
      agentAnonymousKib += kib(text, 'Pss_Anon');
    }
    return { agentKib, haproxyKib, agentAnonymousKib, processes };
  }

  /** CPU seconds so far, of those that have ended, too. */
  cpuSeconds(): { readonly agent: number; readonly haproxy: number } {
    let [agent, haproxy] = [0, 0];
    for (const pid of this.#agents()) {
      const stat = this.#read(pid, 'stat');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const seconds = fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
      if (this.#program(pid).includes('haproxy')) haproxy += seconds / TICKS_PER_SECOND;
      else agent += seconds / TICKS_PER_SECOND;
    }
    return { agent, haproxy };
  }

  #agents(): number[] {
    return this.#all().filter((pid) => !this.#furniture.has(pid) && this.#program(pid) !== '');
  }

  #all(): number[] {
    return readdirSync(this.#proc)
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  }

  /** Empty for one that has ended, and for the VM's own sleep. */
  #program(pid: number): string {
    try {
      const program = readlinkSync(join(this.#proc, String(pid), 'exe'));
      return program.endsWith('/sleep') ? '' : program;
    } catch {
      return '';
    }
  }

  #read(pid: number, file: string): string {
    try {
      return readFileSync(join(this.#proc, String(pid), file), 'utf8');
    } catch {
      return ''; // it ended meanwhile
    }
  }
}

const kib = (rollup: string, field: string): number =>
  Number(new RegExp(`^${field}: +(\\d+) kB$`, 'm').exec(rollup)?.[1] ?? 0);
