// SPDX-License-Identifier: Apache-2.0
// Wires the parts together and decides nothing.
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import type { FastifyBaseLogger } from 'fastify';
import { Amphora } from './amphora.js';
import { type AgentConfig, parseAgentConfig, readAgentConfig } from './config.js';
import { controlSource } from './control-source.js';
import { renderNetnsUnit } from './core/units/netns-unit.js';
import { tableSizes } from './core/plan/sizes.js';
import { heartbeatSource } from './heartbeat-source.js';
import { Announcer } from './shell/announcer.js';
import { operations } from './shell/api/operations.js';
import { createServer } from './shell/api/server.js';
import { awaitStart } from './shell/await-start.js';
import { installChecks } from './shell/checks.js';
import { commandPath, prepareCommand } from './shell/commands.js';
import { serveControl } from './shell/control.js';
import { DatapathInterfaces } from './shell/datapath-interfaces.js';
import { KernelDataplane } from './shell/dataplane.js';
import { ensureBpffs } from './shell/dataplane-bpffs.js';
import { writeFileAtomic } from './shell/files.js';
import { Haproxy } from './shell/haproxy.js';
import { HealthWatch } from './shell/health.js';
import { HeartbeatSender } from './shell/heartbeat.js';
import { Keepalived } from './shell/keepalived.js';
import { MetricsService } from './shell/metrics-service.js';
import { Neighbours } from './shell/neighbours.js';
import { Network } from './shell/network.js';
import { createServices } from './shell/services.js';
import { Store } from './shell/store.js';
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

/** Resolves when the API is bound. Waits as long as files of the boot are missing. */
export const startAgent = async (file: string, log: FastifyBaseLogger): Promise<Agent> => {
  let config = await awaitStart(() => readAgentConfig(file), log);
  const pair = { cert: config.serverCert, ca: config.serverCa };
  await awaitStart(() => loadPair(pair), log);
  log.level = config.debug ? 'debug' : 'info';

  const { xdp } = config;
  const store = new Store({ ...config, stateDirectory: xdp.stateDirectory });
  const network = new Network({
    namespace: xdp.networkNamespace,
    directory: config.networkDirectory,
    pluggedInterfacesFile: xdp.pluggedInterfacesFile,
    stateDirectory: xdp.stateDirectory,
    log,
  });
  const { netns } = network;
  const checkOptions = {
    directory: join(xdp.runDirectory, 'checks'),
    pingWrapper: xdp.pingWrapper,
    lvsCheckDirectory: join(config.basePath, 'lvs', 'check'),
  };
  const services = await createServices({
    form: xdp.services,
    netns,
    unitDirectory: xdp.unitDirectory,
    netnsUnit: renderNetnsUnit(xdp.networkNamespace, prepareCommand(file)),
    logDirectory: join(xdp.runDirectory, 'log'),
    log,
  });
  const haproxy = new Haproxy({
    program: config.haproxyCmd,
    userGroupFile: xdp.userGroupFile,
    amphoraId: config.amphoraId,
    namespace: xdp.networkNamespace,
    baseCertDir: config.baseCertDir,
    store,
    services,
    log,
  });
  const sizes = sizesOf(config);
  // systemd has mounted it, but a container may have no systemd.
  await ensureBpffs(dirname(xdp.pinDirectory));
  const dataplane = new KernelDataplane({
    pinDirectory: xdp.pinDirectory,
    stateDirectory: xdp.stateDirectory,
    netns,
    sizes,
    logger: log,
    snatSource: xdp.snatSource,
    ...(xdp.bpfDirectory === null ? {} : { objectDirectory: xdp.bpfDirectory }),
  });
  const interfaces = new DatapathInterfaces(netns, (name) => xdp.hooks.get(name) ?? xdp.hook);
  const amphora = new Amphora({
    config: () => config,
    store,
    dataplane,
    network: {
      prepare: () => network.prepare(),
      plugVip: (plug, managed) => network.plugVip(plug, managed),
      plugNetwork: (plug, managed) => network.plugNetwork(plug, managed),
      interfaceOf: (address) => network.interfaceOf(address),
      read: async () => ({
        interfaces: await interfaces.of(await network.links()),
        hasSriov: await network.hasSriov(),
      }),
    },
    haproxy,
    keepalived: new Keepalived({
      program: '/usr/sbin/keepalived',
      basePath: config.basePath,
      namespace: xdp.networkNamespace,
      logFacility: () => config.administrativeLogFacility,
      commands: {
        haproxy: commandPath('haproxy-vrrp-check'),
        datapath: commandPath('amphora-datapath-check'),
      },
      services,
      log,
    }),
    metrics: new MetricsService({ ...xdp, services, log }),
    announcer: new Announcer({ netns, log }),
    neighbours: new Neighbours({ netns, log }),
    checks: await installChecks(checkOptions),
    log,
  });
  const report =
    (what: string) =>
    (error: unknown): void => {
      log.error({ err: error }, what);
    };
  const health = new HealthWatch({
    sockets: () => amphora.statsSockets(),
    pollMs: xdp.healthPollMs,
    onChange: (down) => {
      amphora.setDown(down).catch(report('health of members not applied'));
    },
    log,
  });
  const watcher = new Watcher({
    netns,
    onNetwork: () => {
      amphora.networkChanged().catch(report('change of the network not applied'));
    },
    onNeighbour: () => {
      dataplane.bumpGeneration();
    },
    log,
  });

  await amphora.start(async () => {
    await health.look();
    return health.down;
  });
  watcher.start();
  void health.watch();
  const control = await serveControl(
    xdp.controlSocket,
    controlSource({
      amphora,
      dataplane,
      amphoraId: config.amphoraId,
      startedAt: new Date(),
      sizes,
    }),
    log,
  );
  const heartbeat = new HeartbeatSender({
    config: () => config,
    build: heartbeatSource({ ...config, amphora, dataplane, log }),
    log,
  });
  const replaceConfig = async (text: string): Promise<void> => {
    const next = parseAgentConfig(file, text);
    await writeFileAtomic(file, text, 0o660);
    config = next;
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
      checks: checkOptions,
      serverCert: config.serverCert,
      replaceConfig,
    }),
    { pair, log, requestReadTimeoutSeconds: config.requestReadTimeoutSeconds },
  );
  await app.listen({ host: config.bindHost, port: config.bindPort });
  void heartbeat.run();
  const address = app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : config.bindPort;
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
      dataplane.close();
      log.info('agent stopped; the datapath and HAProxy go on');
    },
  };
};

const sizesOf = ({ xdp }: AgentConfig) =>
  tableSizes(totalmem(), {
    ...(xdp.tableFlows === null ? {} : { flows: xdp.tableFlows }),
    ...(xdp.tableListeners === null ? {} : { listeners: xdp.tableListeners }),
    ...(xdp.tableMembers === null ? {} : { members: xdp.tableMembers }),
  });

const countRunning = async (amphora: Amphora, haproxy: Haproxy): Promise<number> => {
  const states = await Promise.all(amphora.loadBalancerIds().map((id) => haproxy.isRunning(id)));
  return states.filter(Boolean).length;
};
