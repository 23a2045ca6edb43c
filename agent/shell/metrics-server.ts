// SPDX-License-Identifier: Apache-2.0
// Serves the metrics to HAProxy's internal backend (contract 8.1).
import { type Server, createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { renderMetrics } from '../core/metrics/metrics.js';
import type { MetricsInput } from '../core/metrics/metrics.js';
import { textOf } from '../errors.js';

export interface MetricsServerOptions {
  /** Of HAProxy's own exporter. */
  readonly exporterUrl: string;
  readonly askAgent: () => Promise<NonNullable<MetricsInput['agent']>>;
  readonly complain: (text: string) => void;
}

const TIMEOUT_MS = 5000;

/** Any path of a GET shows them; nothing else is answered. Not yet listening. */
export const metricsServer = (options: MetricsServerOptions): Server =>
  createServer((request, response) => {
    response.setHeader('connection', 'close');
    response.removeHeader('transfer-encoding'); // the end of the connection is the end of the text
    if (request.method !== 'GET') {
      response.writeHead(501).end();
      return;
    }
    collect(options).then(
      (text) => {
        const type = { 'content-type': 'text/plain; version=0.0.4', 'cache-control': 'no-cache' };
        response.writeHead(200, type).end(text);
      },
      (error: unknown) => {
        options.complain(textOf(error));
        response.writeHead(502).end();
      },
    );
  });

/** Throws when HAProxy's exporter does not answer. */
const collect = async ({
  exporterUrl,
  askAgent,
  complain,
}: MetricsServerOptions): Promise<string> => {
  const [exporter, agent, memory] = await Promise.all([
    fetchText(exporterUrl),
    askAgent().catch((error: unknown) => {
      complain(textOf(error));
      return null;
    }),
    usedMemory(),
  ]);
  const [minute = 0] = loadavg();
  return renderMetrics({ cpu: (minute / cpus().length) * 100, memory, exporter, agent });
};

const fetchText = async (url: string): Promise<string> => {
  const answer = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
  return answer.text();
};

/** Percent of the memory that is not available. */
const usedMemory = async (): Promise<number> => {
  const text = await readFile('/proc/meminfo', 'utf8');
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  const total = field('MemTotal');
  return total === 0 ? 0 : ((total - field('MemAvailable')) / total) * 100;
};
