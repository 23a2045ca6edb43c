// SPDX-License-Identifier: Apache-2.0
// What operation 3 answers: some fields are the machine's, some the amphora's.
import type { Wanted } from '../row.js';

const VERSION = /^(\d+:)?\d+\.\d+\S*$/;

/** Also what operation 2 answers. An epoch in HAProxy's version would break the controller (P15). */
export const VERSIONS = {
  hostname: String,
  haproxy_version: /^\d+\.\d+\S*$/,
  api_version: '1.0',
  keepalived_version: VERSION,
  ipvsadm_version: VERSION,
};

const TICKS = /^\d+$/;
const LOAD = /^\d+\.\d+$/;
const MEMORY = ['total', 'free', 'buffers', 'cached', 'swap_used', 'shared', 'slab'];

const MACHINE = {
  ...VERSIONS,
  cpu: { total: Number, user: TICKS, system: TICKS, soft_irq: TICKS },
  memory: Object.fromEntries(MEMORY.map((name) => [name, Number])),
  disk: { used: Number, available: Number },
  load: [LOAD, LOAD, LOAD],
  active: true,
  topology: 'SINGLE',
  topology_status: 'OK',
  packages: {},
};

export interface DetailsOf {
  readonly interfaces?: readonly string[];
  readonly listeners?: readonly string[];
  readonly haproxyCount?: number;
  readonly lvsCount?: number;
}

/** As of the stock agent of 11.0.0. */
export const oldDetails = (of: DetailsOf = {}): Readonly<Record<string, Wanted>> => ({
  ...MACHINE,
  networks: Object.fromEntries(
    (of.interfaces ?? []).map((name) => [name, { network_tx: Number, network_rx: Number }]),
  ),
  listeners: of.listeners ?? [],
  haproxy_count: of.haproxyCount ?? 0,
  lvs_listener_process_count: of.lvsCount ?? 0,
});

/** With what newer controllers size HAProxy by. */
export const details = (of: DetailsOf = {}): Readonly<Record<string, Wanted>> => ({
  ...oldDetails(of),
  cpu_count: Number,
  active_tuned_profiles: '',
});
