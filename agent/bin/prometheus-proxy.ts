#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// prometheus-proxy: HAProxy's metrics and the datapath's under Octavia's names, on 127.0.0.1:9102 of the namespace
// that it runs in (contract 8.1). The installed command waits for that namespace and enters it. Under a socket unit it
// runs from the first scrape on, and with --idle-seconds while it is scraped.
import { parseArgs } from 'node:util';
import type { Counters } from '../core/model/dataplane.js';
import type { Status } from '../core/report/status.js';
import { textOf } from '../errors.js';
import { activatedSocket, watchIdle } from '../shell/activation.js';
import { METRICS_PORT, EXPORTER_PORT } from '../shell/metrics-service.js';
import { metricsServer } from '../shell/metrics-server.js';
import { askOnce, socketOption } from './ctl-client.js';

const USAGE = 'usage: prometheus-proxy [--socket PATH] [--pid-file PATH] [--idle-seconds N]';

/** The call as it was meant, or the end of the process with status 2. */
const readCall = (): { readonly socket: string; readonly idleSeconds: number } => {
  try {
    const { values } = parseArgs({
      options: {
        ...socketOption,
        // The agent's supervisor knows its daemons by this word of their command line.
        'pid-file': { type: 'string' },
        'idle-seconds': { type: 'string', default: '0' },
      },
    });
    const idle = values['idle-seconds'];
    if (!/^\d{1,6}$/.test(idle)) throw new Error('--idle-seconds wants a number below 1000000');
    return { socket: values.socket, idleSeconds: Number(idle) };
  } catch (error) {
    process.stderr.write(`prometheus-proxy: ${textOf(error)}\n${USAGE}\n`);
    return process.exit(2);
  }
};

const call = readCall();

const server = metricsServer({
  exporterUrl: `http://127.0.0.1:${EXPORTER_PORT}/metrics`,
  askAgent: async () => {
    const [status, counters] = await Promise.all([
      askOnce(call.socket, { command: 'status' }),
      askOnce(call.socket, { command: 'stats' }),
    ]);
    return { listeners: (status as Status).listeners, counters: counters as Counters };
  },
  complain: (text) => process.stderr.write(`prometheus-proxy: ${text}\n`),
});
server.on('error', (error) => {
  process.stderr.write(`prometheus-proxy: ${error.message}\n`);
  process.exit(1); // whoever started it starts it again
});
const stop = (): void => {
  server.close();
  server.closeAllConnections();
};
const socket = activatedSocket(process.env, process.pid);
const place = socket === null ? { port: METRICS_PORT, host: '127.0.0.1' } : { fd: socket };
server.listen(place, () => {
  process.stdout.write(`Now serving on port ${METRICS_PORT}\n`);
});
if (socket !== null && call.idleSeconds > 0) watchIdle(server, call.idleSeconds * 1000, stop);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, stop);
