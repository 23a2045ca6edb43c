// SPDX-License-Identifier: Apache-2.0
// Runs prometheus-proxy where no image does, as long as a PROMETHEUS listener wants it (contract 8.1).
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FastifyBaseLogger } from 'fastify';
import type { Service, Services } from './services.js';

/** Where HAProxy's internal backend looks for metrics, and where its exporter gives its own. */
export const METRICS_PORT = 9102;
export const EXPORTER_PORT = 9101;

export interface MetricsServiceOptions {
  readonly services: Services;
  readonly runDirectory: string;
  readonly controlSocket: string;
  readonly log: FastifyBaseLogger;
}

/** True for a HAProxy config whose PROMETHEUS listener leads to us. */
export const wantsMetrics = (haproxyConfig: string): boolean =>
  haproxyConfig.includes(`127.0.0.1:${METRICS_PORT}`);

export class MetricsService {
  readonly #options: MetricsServiceOptions;

  constructor(options: MetricsServiceOptions) {
    this.#options = options;
  }

  /** Starts, adopts or stops it. Under an init system it is a service of the image. Never throws. */
  async follow(wanted: boolean): Promise<void> {
    const { services, log } = this.#options;
    if (services.isInitSystem) return;
    const service = this.#service();
    try {
      if (!wanted) await services.stop(service);
      else if (!(await services.adopt(service))) await services.start(service);
    } catch (error) {
      log.error({ err: error, wanted }, 'prometheus-proxy does not follow');
    }
  }

  #service(): Service {
    const { runDirectory, controlSocket } = this.#options;
    const script = fileURLToPath(new URL('../bin/prometheus-proxy.js', import.meta.url));
    const pidFile = join(runDirectory, 'prometheus-proxy.pid');
    return {
      name: 'prometheus-proxy',
      program: process.execPath,
      args: [script, '--socket', controlSocket, '--pid-file', pidFile],
      foregroundArgs: [],
      pidFile,
      reloadSignal: 'SIGHUP',
      unit: '',
    };
  }
}
