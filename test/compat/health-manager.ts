// SPDX-License-Identifier: Apache-2.0
// Octavia's health manager as a child process: questions and answers in lines of JSON.
import { startPython } from './python.js';

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

export const startHealthManager = (): HealthManager => {
  const python = startPython('health_manager.py');
  const ask = async (request: object): Promise<Answer> => (await python.ask(request)) as Answer;
  return {
    make: (rows) => ask({ load_balancer: rows }),
    receive: (datagram) => ask({ datagram: datagram.toString('hex') }),
    unwrap: (datagram) => ask({ unwrap: datagram.toString('hex') }),
    stop: () => python.stop(),
  };
};
