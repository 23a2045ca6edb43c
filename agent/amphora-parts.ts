// SPDX-License-Identifier: Apache-2.0
// What the amphora works with, by interface: a test hands it recorders.
import type { FastifyBaseLogger } from 'fastify';
import type { AgentConfig } from './config.js';
import type { Dataplane, DatapathInterface } from './core/model/dataplane.js';
import type { CheckCommands } from './core/render/check-backends.js';
import type { Announcer } from './shell/announcer.js';
import type { DhcpClients } from './shell/dhcp.js';
import type { Haproxy } from './shell/haproxy.js';
import type { Keepalived } from './shell/keepalived.js';
import type { MetricsService } from './shell/metrics-service.js';
import type { Neighbours } from './shell/neighbours.js';
import type { Network } from './shell/network.js';
import type { Store } from './shell/store.js';

export interface AmphoraParts {
  /** As it is now: the controller may replace it. */
  readonly config: () => AgentConfig;
  readonly store: Store;
  readonly dataplane: Dataplane;
  readonly network: Pick<
    Network,
    'prepare' | 'plugVip' | 'plugNetwork' | 'interfaceOf' | 'putRules'
  > & {
    /** Interfaces now, and whether one of them is an SR-IOV port. */
    readonly read: () => Promise<{
      readonly interfaces: readonly DatapathInterface[];
      readonly hasSriov: boolean;
    }>;
  };
  readonly haproxy: Pick<Haproxy, 'check' | 'bring' | 'adopt' | 'stop' | 'isRunning' | 'runs'>;
  readonly keepalived: Pick<Keepalived, 'upload' | 'act' | 'adopt' | 'refreshCheck'>;
  readonly metrics: Pick<MetricsService, 'follow'>;
  readonly announcer: Pick<Announcer, 'announce'>;
  readonly dhcp: Pick<DhcpClients, 'follow'>;
  readonly neighbours: Pick<Neighbours, 'keep'>;
  readonly checks: { readonly commands: CheckCommands; readonly canCheckSctp: boolean };
  readonly log: FastifyBaseLogger;
}

/** In active/standby keepalived adds, removes and announces the VIPs. */
export const managesVips = ({ config }: Pick<AmphoraParts, 'config'>): boolean =>
  config().topology === 'SINGLE';
