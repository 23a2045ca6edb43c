// SPDX-License-Identifier: Apache-2.0
// The one text that a PROMETHEUS listener shows (contract 8.1).
import type { Counters } from '../model/dataplane.js';
import { lostLines } from '../model/flow-log.js';
import type { ListenerStatus } from '../report/status.js';
import { datapathFamilies } from './datapath.js';
import { type Family, mergeFamilies, renderFamilies } from './families.js';
import { parseExporter } from './haproxy.js';

export interface MetricsInput {
  /** Percent. */
  readonly cpu: number;
  readonly memory: number;
  /** What HAProxy's exporter said. */
  readonly exporter: string;
  /** What the agent said, or null where it could not be asked: then HAProxy's part has to do. */
  readonly agent: {
    readonly listeners: readonly ListenerStatus[];
    readonly counters: Counters;
  } | null;
}

export const renderMetrics = ({ cpu, memory, exporter, agent }: MetricsInput): string => {
  const haproxy = parseExporter(exporter);
  const datapath =
    agent === null
      ? []
      : [...datapathFamilies(agent.listeners, agent.counters), ...logFamilies(agent.counters)];
  return renderFamilies([
    percent('octavia_loadbalancer_cpu', 'Load balancer CPU utilization (percentage).', cpu),
    percent(
      'octavia_loadbalancer_memory',
      'Load balancer memory utilization (percentage).',
      memory,
    ),
    ...mergeFamilies(addTotals(haproxy, datapath), datapath),
  ]);
};

const logFamilies = ({ log }: Counters): Family[] =>
  log === undefined
    ? []
    : [
        {
          name: 'octavia_loadbalancer_flow_logs_total',
          type: 'counter',
          help: 'Total number of lines of flows written by the agent since its start.',
          samples: new Map([['', String(log.written)]]),
        },
        {
          name: 'octavia_loadbalancer_flow_logs_lost_total',
          type: 'counter',
          help: 'Total number of flows whose line was lost.',
          samples: new Map([['', String(lostLines(log))]]),
        },
      ];

const percent = (name: string, help: string, value: number): Family => ({
  name,
  help,
  type: 'gauge',
  samples: new Map([['', value.toFixed(1)]]),
});

/** Totals of the load balancer count both engines. */
const TOTALS: Readonly<Record<string, string>> = {
  octavia_loadbalancer_current_connections: 'octavia_listener_current_sessions',
  octavia_loadbalancer_connections_total: 'octavia_listener_connections_total',
  octavia_loadbalancer_dropped_logs_total: 'octavia_loadbalancer_flow_logs_lost_total',
};

const addTotals = (haproxy: readonly Family[], datapath: readonly Family[]): Family[] =>
  haproxy.map((family) => {
    const parts = datapath.find(({ name }) => name === TOTALS[family.name]);
    const own = family.samples.get('');
    if (parts === undefined || own === undefined) return family;
    const added = [...parts.samples.values()].reduce((total, value) => total + Number(value), 0);
    return { ...family, samples: new Map([['', String(Number(own) + added)]]) };
  });
