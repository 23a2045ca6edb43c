#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// prometheus-proxy: HAProxy's metrics and the datapath's under Octavia's names, on 127.0.0.1:9102 of the namespace
// that it runs in (contract 8.1). The installed command waits for that namespace and enters it. Under a socket unit it
// runs from the first scrape on, and with --idle-seconds while it is scraped.
import { parseArgs } from 'node:util';
import type { Counters } from '../core/model/dataplane.js';
import type { Status } from '../core/report/status.js';
import { activatedSocket, watchIdle } from '../shell/activation.js';
import { METRICS_PORT, EXPORTER_PORT } from '../shell/metrics-service.js';
import { metricsServer } from '../shell/metrics-server.js';
import { askOnce, socketOption } from './ctl-client.js';

const { values } = parseArgs({
  options: {
    ...socketOption,
    // The agent's supervisor knows its daemons by this word of their command line.
    'pid-file': { type: 'string' },
    'idle-seconds': { type: 'string' },
  },
});

const server = metricsServer({
  exporterUrl: `http://127.0.0.1:${EXPORTER_PORT}/metrics`,
  askAgent: async () => {
    const [status, counters] = await Promise.all([
      askOnce(values.socket, { command: 'status' }),
      askOnce(values.socket, { command: 'stats' }),
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
const idleSeconds = Number(values['idle-seconds'] ?? 0);
if (socket !== null && idleSeconds > 0) watchIdle(server, idleSeconds * 1000, stop);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, stop);
