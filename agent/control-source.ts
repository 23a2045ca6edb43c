// SPDX-License-Identifier: Apache-2.0
// What the control socket tells, put together from the amphora, the datapath and HAProxy.
import type { Amphora } from './amphora.js';
import type { Dataplane } from './core/model/dataplane.js';
import { buildStatus } from './core/report/status.js';
import type { ControlSource } from './shell/control.js';
import { readMemberChecks } from './shell/member-checks.js';

export interface ControlSourceOptions {
  readonly amphora: Amphora;
  readonly dataplane: Dataplane;
  readonly amphoraId: string;
  readonly startedAt: Date;
  readonly sizes: { readonly listeners: number; readonly members: number };
}

export const controlSource = (options: ControlSourceOptions): ControlSource => {
  const { amphora, dataplane } = options;
  return {
    status: async () => {
      const { listeners, wanted, report, mapWrites, adopted, flowCapacity } = amphora.snapshot();
      return buildStatus({
        amphoraId: options.amphoraId,
        startedAt: options.startedAt.toISOString(),
        adopted,
        listeners,
        down: wanted.down,
        localAddresses: new Set(
          wanted.interfaces.flatMap((one) => one.addresses.map(({ address }) => address)),
        ),
        hooks: report?.hooks ?? [],
        mapWrites,
        counters: dataplane.counters(),
        checks: await readMemberChecks(amphora.statsSockets()),
        sizes: { flows: flowCapacity, ...options.sizes },
      });
    },
    counters: () => dataplane.counters(),
    flows: (filter) => dataplane.flows(filter),
    follow: (onEvents) => dataplane.follow(onEvents),
  };
};
