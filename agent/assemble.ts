// SPDX-License-Identifier: Apache-2.0
// Makes the parts from the config and the amphora from the parts. Nothing runs yet.
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import type { FastifyBaseLogger } from 'fastify';
import { Amphora } from './amphora.js';
import type { AgentConfig } from './config.js';
import { tableSizes } from './core/plan/sizes.js';
import { renderNetnsUnit } from './core/units/netns-unit.js';
import { Announcer } from './shell/announcer.js';
import { type CheckOptions, installChecks } from './shell/checks.js';
import { commandPath, prepareCommand } from './shell/commands.js';
import { DatapathInterfaces } from './shell/datapath-interfaces.js';
import { ensureBpffs } from './shell/dataplane-bpffs.js';
import { KernelDataplane } from './shell/dataplane.js';
import { DhcpClients } from './shell/dhcp.js';
import { Haproxy } from './shell/haproxy.js';
import { Keepalived } from './shell/keepalived.js';
import { MetricsService } from './shell/metrics-service.js';
import { Neighbours } from './shell/neighbours.js';
import { Network } from './shell/network.js';
import { type Services, createServices } from './shell/services.js';
import { Store } from './shell/store.js';

export interface Assembly {
  readonly amphora: Amphora;
  readonly store: Store;
  readonly network: Network;
  readonly services: Services;
  readonly haproxy: Haproxy;
  readonly dataplane: KernelDataplane;
  readonly checks: CheckOptions;
  readonly sizes: ReturnType<typeof sizesOf>;
}

/** `current`: the config, which may be replaced later; what stands in files and namespaces stays as it is now. */
export const assemble = async (
  current: () => AgentConfig,
  log: FastifyBaseLogger,
): Promise<Assembly> => {
  const config = current();
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
  const checks = {
    // Not below /run, from where Debian lets nothing be executed.
    directory: join(xdp.stateDirectory, 'checks'),
    pingWrapper: xdp.pingWrapper,
    lvsCheckDirectory: join(config.basePath, 'lvs', 'check'),
  };
  const services = await createServices({
    form: xdp.services,
    netns,
    unitDirectory: xdp.unitDirectory,
    netnsUnit: renderNetnsUnit({
      namespace: xdp.networkNamespace,
      prepare: prepareCommand(config.file),
      pluggedInterfacesFile: xdp.pluggedInterfacesFile,
    }),
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
  const amphora = new Amphora({
    config: current,
    store,
    dataplane,
    network: watchedNetwork(network, config),
    haproxy,
    keepalived: new Keepalived({
      program: '/usr/sbin/keepalived',
      basePath: config.basePath,
      stoppedMark: join(xdp.runDirectory, 'keepalived-stopped'),
      namespace: xdp.networkNamespace,
      logFacility: () => current().administrativeLogFacility,
      commands: {
        haproxy: commandPath('haproxy-vrrp-check'),
        datapath: commandPath('amphora-datapath-check'),
      },
      services,
      log,
    }),
    metrics: new MetricsService({ ...xdp, services, log }),
    announcer: new Announcer({ netns, log }),
    dhcp: new DhcpClients({
      wishes: () => network.dhcpWishes(),
      namespace: xdp.networkNamespace,
      runDirectory: xdp.runDirectory,
      scriptDirectory: xdp.stateDirectory,
      services,
      log,
    }),
    neighbours: new Neighbours({ netns, log }),
    checks: await installChecks(checks),
    log,
  });
  return { amphora, store, network, services, haproxy, dataplane, checks, sizes };
};

/** The network as the amphora sees it: with the hook that each interface shall have. */
const watchedNetwork = (network: Network, { xdp }: AgentConfig) => {
  const interfaces = new DatapathInterfaces(
    network.netns,
    (name) => xdp.hooks.get(name) ?? xdp.hook,
  );
  return {
    prepare: network.prepare.bind(network),
    plugVip: network.plugVip.bind(network),
    plugNetwork: network.plugNetwork.bind(network),
    interfaceOf: network.interfaceOf.bind(network),
    putRules: network.putRules.bind(network),
    read: async () => ({
      interfaces: await interfaces.of(await network.links()),
      hasSriov: await network.hasSriov(),
    }),
  };
};

const sizesOf = ({ xdp }: AgentConfig) =>
  tableSizes(totalmem(), {
    ...(xdp.tableFlows === null ? {} : { flows: xdp.tableFlows }),
    ...(xdp.tableListeners === null ? {} : { listeners: xdp.tableListeners }),
    ...(xdp.tableMembers === null ? {} : { members: xdp.tableMembers }),
  });
