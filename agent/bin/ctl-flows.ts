// SPDX-License-Identifier: Apache-2.0
// amphoractl flows: who is connected through whom, now or as it happens.
import { parseArgs } from 'node:util';
import type { FlowEvent, FlowFilter, FlowRecord } from '../core/model/dataplane.js';
import { type Command, UsageError } from './command.js';
import { askAgent, askOnce, socketOption } from './ctl-client.js';
import { withAgent } from './ctl-errors.js';
import { renderTable, shortNumber } from './ctl-table.js';

const help = `amphoractl flows [FILTER...] [--follow] [--json] [--socket PATH]

Flows that the datapath forwards. Without --follow: those that are open now.

  --listener ID     of this listener only
  --member ID       to this member only
  --client ADDRESS  from this address only
  --limit N         at most N (default 1000; without --follow)
  --follow          print flows as they open and close, until interrupted
  --json            a JSON object per line
  --socket PATH     control_socket of the agent (default ${socketOption.socket.default})`;

export const flows: Command = {
  name: 'flows',
  summary: 'list or follow the flows of the datapath',
  help,
  run: (args, output) =>
    withAgent(output, async () => {
      const { socket, filter, follow, json } = readArguments(args);
      if (follow) {
        for await (const message of askAgent(socket, { command: 'follow', filter })) {
          const events = 'events' in message ? message.events : [];
          for (const event of events) output.line(json ? JSON.stringify(event) : eventLine(event));
        }
        return;
      }
      const found = (await askOnce(socket, { command: 'flows', filter })) as FlowRecord[];
      const lines = json ? found.map((flow) => JSON.stringify(flow)) : flowTable(found);
      for (const line of lines) output.line(line);
    }),
};

const readArguments = (args: readonly string[]) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...socketOption,
      listener: { type: 'string' },
      member: { type: 'string' },
      client: { type: 'string' },
      limit: { type: 'string', default: '1000' },
      follow: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const limit = Number(values.limit);
  if (!Number.isInteger(limit) || limit < 1) throw new UsageError('--limit wants a number above 0');
  const filter: FlowFilter = {
    limit,
    ...(values.listener === undefined ? {} : { listenerId: values.listener }),
    ...(values.member === undefined ? {} : { memberId: values.member }),
    ...(values.client === undefined ? {} : { client: values.client }),
  };
  return { socket: values.socket, filter, follow: values.follow, json: values.json };
};

const flowTable = (found: readonly FlowRecord[]): string[] =>
  renderTable(
    ['PROTO', 'CLIENT', 'VIP', 'SNAT', 'MEMBER', 'STATE', 'AGE', 'IDLE', 'RX', 'TX'],
    found.map((flow) => [
      flow.protocol,
      flow.client,
      flow.vip,
      flow.snat,
      flow.member,
      flow.state,
      `${Math.round(flow.ageSeconds)}s`,
      `${Math.round(flow.idleSeconds)}s`,
      shortNumber(flow.rxBytes),
      shortNumber(flow.txBytes),
    ]),
  );

const eventLine = (event: FlowEvent): string => {
  const what = event.type === 'close' && event.reset ? 'reset' : event.type;
  const path = `${event.client} -> ${event.vip} -> ${event.member}`;
  const bytes = `rx ${event.rxBytes} tx ${event.txBytes}`;
  return `${what.padEnd(6)} ${event.protocol.padEnd(4)} ${path}  ${event.ageSeconds}s ${bytes}`;
};
