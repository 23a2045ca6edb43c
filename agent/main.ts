// SPDX-License-Identifier: Apache-2.0
// Wires the parts together and decides nothing.
import { pino } from 'pino';
import type { FastifyBaseLogger } from 'fastify';
import type { Amphora } from './amphora.js';
import { type Assembly, assemble } from './assemble.js';
import { parseAgentConfig, readAgentConfig, withMutable } from './config.js';
import { controlSource } from './control-source.js';
import { heartbeatSource } from './heartbeat-source.js';
import { operations } from './shell/api/operations.js';
import { createServer } from './shell/api/server.js';
import { awaitStart } from './shell/await-start.js';
import { serveControl } from './shell/control.js';
import { writeFileAtomic } from './shell/files.js';
import type { Haproxy } from './shell/haproxy.js';
import { HealthWatch } from './shell/health.js';
import { HeartbeatSender } from './shell/heartbeat.js';
import type { ServiceManager } from './shell/service-manager.js';
import { loadPair } from './shell/tls.js';
import { Watcher } from './shell/watcher.js';

/** A running agent; `stop` leaves the datapath and HAProxy at work. */
export interface Agent {
  readonly port: number;
  stop(): Promise<void>;
}

/** Keys and certificates never reach the log. */
export const createLog = (): FastifyBaseLogger =>
  pino({ redact: ['heartbeatKey', '*.heartbeatKey', '*.key', '*.cert'] });

/** Resolves when the API is bound. Waits as long as files of the boot are missing, and says so to `manager`. */
export const startAgent = async (
  file: string,
  log: FastifyBaseLogger,
  manager?: ServiceManager,
): Promise<Agent> => {
  // A service that waits is up: whoever started it may be the one who brings the files.
  const onMissing = (missing: string): void => manager?.ready(`waiting: ${missing}`);
  let config = await awaitStart(() => readAgentConfig(file), log, onMissing);
  const pair = { cert: config.serverCert, ca: config.serverCa };
  await awaitStart(() => loadPair(pair), log, onMissing);
  log.level = config.debug ? 'debug' : 'info';

  const assembly = await assemble(() => config, log);
  const { amphora, store, network, services, haproxy, dataplane, checks, sizes } = assembly;
  const { health, watcher } = watches(assembly, config.xdp.healthPollMs, log);
  await amphora.start(async () => {
    await health.look();
    return health.down;
  });
  watcher.start();
  void health.watch();
  const startedAt = new Date();
  const control = await serveControl(
    config.xdp.controlSocket,
    controlSource({ amphora, dataplane, amphoraId: config.amphoraId, startedAt, sizes }),
    log,
  );
  const heartbeat = new HeartbeatSender({
    config: () => config,
    build: heartbeatSource({ ...config, amphora, dataplane, log }),
    log,
  });
  const replaceConfig = async (text: string): Promise<void> => {
    const next = parseAgentConfig(file, text);
    if (config.amphoraId !== '' && next.amphoraId !== config.amphoraId) {
      throw new Error(`[amphora_agent] amphora_id: this is amphora ${config.amphoraId}`);
    }
    await writeFileAtomic(file, text, 0o660);
    config = withMutable(config, next);
    log.level = config.debug ? 'debug' : 'info';
    heartbeat.reconfigure();
    log.info('agent configuration replaced');
  };
  const app = createServer(
    operations({
      amphora,
      store,
      network,
      info: {
        haproxyCmd: config.haproxyCmd,
        networkCounters: () => network.counters(),
        haproxyCount: () => countRunning(amphora, haproxy),
      },
      checks,
      serverCert: config.serverCert,
      replaceConfig,
    }),
    { pair, log, requestReadTimeoutSeconds: config.requestReadTimeoutSeconds },
  );
  await app.listen({ host: config.bindHost, port: config.bindPort });
  void heartbeat.run();
  const address = app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : config.bindPort;
  manager?.ready(`serving on port ${port}`);
  log.info({ host: config.bindHost, port }, 'agent ready');
  return {
    port,
    stop: async () => {
      await app.close();
      control.close();
      watcher.stop();
      health.stop();
      heartbeat.stop();
      services.release();
      await amphora.inTurn(() => Promise.resolve());
      await dataplane.stopLog();
      dataplane.close();
      log.info('agent stopped; the datapath and HAProxy go on');
    },
  };
};

/** Brings to the amphora what changes without the controller: members' health, links, addresses, routes. */
const watches = (
  { amphora, dataplane, network }: Assembly,
  pollMs: number,
  log: FastifyBaseLogger,
) => {
  const report =
    (what: string) =>
    (error: unknown): void => {
      log.error({ err: error }, what);
    };
  const health = new HealthWatch({
    sockets: () => amphora.statsSockets(),
    pollMs,
    onChange: (down) => {
      amphora.setDown(down).catch(report('health of members not applied'));
    },
    log,
  });
  const watcher = new Watcher({
    netns: network.netns,
    onNetwork: () => {
      amphora.networkChanged().catch(report('change of the network not applied'));
    },
    onNeighbour: () => {
      dataplane.bumpGeneration();
    },
    log,
  });
  return { health, watcher };
};

const countRunning = async (amphora: Amphora, haproxy: Haproxy): Promise<number> => {
  const states = await Promise.all(amphora.loadBalancerIds().map((id) => haproxy.isRunning(id)));
  return states.filter(Boolean).length;
};
