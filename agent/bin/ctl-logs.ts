// SPDX-License-Identifier: Apache-2.0
// amphoractl logs: where lines of flows go, and why they may be missing.
import { parseArgs } from 'node:util';
import type { Counters } from '../core/model/dataplane.js';
import { type FlowLogCounters, lostLines } from '../core/model/flow-log.js';
import type { ListenerStatus, Status } from '../core/report/status.js';
import type { Command } from './command.js';
import { askOnce, socketOption } from './ctl-client.js';
import { withAgent } from './ctl-errors.js';
import { renderTable } from './ctl-table.js';

const help = `amphoractl logs [--json] [--socket PATH]

Per listener who writes the lines of its flows and where they go; what the receivers said last; how many lines
were written since the agent's start, and how many were lost and why.

  --json         one JSON object
  --socket PATH  control_socket of the agent (default ${socketOption.socket.default})`;

export const logs: Command = {
  name: 'logs',
  summary: 'say where the lines of flows go, and why some are missing',
  help,
  run: (args, output) =>
    withAgent(output, async () => {
      const { values } = parseArgs({
        args: [...args],
        options: { ...socketOption, json: { type: 'boolean', default: false } },
      });
      const [status, counters] = await Promise.all([
        askOnce(values.socket, { command: 'status' }) as Promise<Status>,
        askOnce(values.socket, { command: 'stats' }) as Promise<Counters>,
      ]);
      const listeners = status.listeners.map(({ id, engine, log }) => ({ id, engine, log }));
      const found = { listeners, log: counters.log ?? null };
      for (const line of values.json ? [JSON.stringify(found)] : renderLogs(found)) {
        output.line(line);
      }
    }),
};

interface Logs {
  readonly listeners: readonly Pick<ListenerStatus, 'id' | 'engine' | 'log'>[];
  readonly log: FlowLogCounters | null;
}

export const renderLogs = ({ listeners, log }: Logs): string[] => [
  ...renderTable(
    ['LISTENER', 'WRITTEN BY', 'TO'],
    listeners.map((one) => [one.id, writerOf(one), one.log.join(', ') || '-']),
  ),
  ...(log === null ? [] : ['', ...renderCounters(log)]),
];

const writerOf = ({ engine, log }: Logs['listeners'][number]): string => {
  if (log.length === 0) return 'nobody: logging is off';
  return engine === 'haproxy' ? 'HAProxy' : 'the agent';
};

const renderCounters = (log: FlowLogCounters): string[] => [
  `${log.written} lines written by the agent, ${lostLines(log)} lost`,
  ...Object.entries(REASONS)
    .filter(([reason]) => log.lost[reason as keyof typeof REASONS] > 0)
    .map(([reason, text]) => `  ${log.lost[reason as keyof typeof REASONS]} ${text}`),
  ...Object.entries(log.receivers).map(
    ([path, code]) => `${path}: ${code === null ? 'takes them' : complaint(code)}`,
  ),
];

const REASONS = {
  ring: 'since the maps were made: more flows ended than the ring holds (log_lost)',
  receiver: 'the receiver did not take',
  listener: 'of listeners that have gone, or log no more',
  refusals: 'of refused connections, beyond what is written in a second',
  restart: 'were on their way when the agent before this one was killed',
} as const;

/** What an errno means here. */
const complaint = (code: string): string => {
  if (code === 'ENOENT')
    return 'there is no such socket: does rsyslog run, with its 55-octavia-socket.conf?';
  if (code === 'ECONNREFUSED') return 'nobody listens there any more: does rsyslog run?';
  return code === 'ETIMEDOUT' ? 'rsyslog does not read: its queues are full' : code;
};
