// SPDX-License-Identifier: Apache-2.0
// Octavia's health manager as a child process: questions and answers in lines of JSON.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** The heartbeat_key of this health manager. */
export const KEY = 'compat-key';

export interface LoadBalancerRows {
  readonly id: string;
  readonly amphora: string;
  readonly enabled: boolean;
  readonly provisioning_status: string;
  readonly listeners: readonly {
    readonly id: string;
    readonly enabled: boolean;
    readonly default_pool: string | null;
  }[];
  readonly pools: readonly {
    readonly id: string;
    readonly enabled: boolean;
    readonly members: readonly string[];
  }[];
}

export interface Answer {
  readonly error?: string;
  readonly warnings: readonly string[];
  readonly document?: unknown;
  /** By id of load balancer, listener, pool and member. */
  readonly statuses?: Readonly<Record<string, string>>;
  readonly statistics?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Amphorae whose `last_update` was set. */
  readonly heard?: readonly string[];
}

export interface HealthManager {
  make(rows: LoadBalancerRows): Promise<Answer>;
  receive(datagram: Buffer): Promise<Answer>;
  unwrap(datagram: Buffer): Promise<Answer>;
  stop(): Promise<void>;
}

/** Debian's Python, whatever others stand before it: python3-octavia is installed for that one. */
const PYTHON = '/usr/bin/python3';

export const startHealthManager = (): HealthManager => {
  const script = join(import.meta.dirname, 'health_manager.py');
  const child = spawn(PYTHON, ['-W', 'ignore', script], { stdio: ['pipe', 'pipe', 'pipe'] });
  let words = '';
  child.stderr.on('data', (chunk: Buffer) => (words = (words + chunk.toString()).slice(-4000)));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (request: object): Promise<Answer> => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const line = await lines.next();
    if (line.done === true) throw new Error(`the health manager ended: ${words}`);
    return JSON.parse(line.value) as Answer;
  };
  return {
    make: (rows) => ask({ load_balancer: rows }),
    receive: (datagram) => ask({ datagram: datagram.toString('hex') }),
    unwrap: (datagram) => ask({ unwrap: datagram.toString('hex') }),
    stop: async () => {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
};
