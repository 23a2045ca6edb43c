// SPDX-License-Identifier: Apache-2.0
// The amphora as its peers see it, beside what its configs imply: one shape for both, so that they can be compared.
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import type { Status } from '../../agent/core/report/status.js';
import type { Controller } from '../support/controller.js';
import { readDatapath } from '../support/datapath-maps.js';
import { viewDatapath, type DatapathView } from '../support/datapath-view.js';
import { readHaproxy, type HaproxyView } from '../support/haproxy-view.js';
import type { AmphoraVm } from '../support/amphora-vm.js';
import { byId, expectedListener, isMonitored } from '../core/expected-explanation.js';
import { expectedDatapath, listenersOf, type Down } from './expected-datapath.js';
import { expectedHaproxy } from './expected-haproxy.js';
import { asUploaded, type State } from './soak-state.js';

export interface Views {
  /** `GET listeners`. */
  readonly listed: readonly string[];
  /** What the agent says that it serves, and with which engine. */
  readonly status: unknown;
  readonly datapath: DatapathView;
  readonly haproxy: Readonly<Record<string, HaproxyView | null>>;
}

export interface Observed extends Views {
  readonly down: Down;
  readonly innerIds: ReadonlySet<number>;
}

export interface Observers {
  readonly vm: AmphoraVm;
  readonly controller: Controller;
  readonly loadBalancerIds: readonly string[];
}

interface Listed {
  readonly uuid: string;
  readonly type: string;
  readonly status: string;
}

export const observe = async ({
  vm,
  controller,
  loadBalancerIds,
}: Observers): Promise<Observed> => {
  const { body } = await controller.must('GET', '/1.0/listeners');
  const listed = (JSON.parse(body) as Listed[])
    .map(({ uuid, type, status }) => `${uuid} ${type} ${status}`)
    .sort();
  const readings = await Promise.all(loadBalancerIds.map((id) => readHaproxy(vm, id)));
  const { innerIds, ...records } = await readDatapath(vm);
  const status = await readStatus(vm);
  return {
    listed,
    status: status.listeners.map(summary).sort(byId),
    datapath: viewDatapath(records),
    haproxy: Object.fromEntries(
      loadBalancerIds.map((id, index) => [id, withoutDown(readings[index] ?? null)]),
    ),
    down: new Set(readings.flatMap((one) => [...(one?.down ?? [])])),
    innerIds,
  };
};

const withoutDown = (reading: HaproxyView | null): HaproxyView | null =>
  reading === null ? null : { frontends: reading.frontends, backends: reading.backends };

const summary = ({ id, engine, vips, pools }: Status['listeners'][number]) => ({
  id,
  engine,
  vips,
  pools: pools
    .map((pool) => ({
      id: pool.id,
      algorithm: pool.algorithm,
      members: pool.members.map(({ id, address, port, weight, backup }) => ({
        ...{ id, address, port, weight, backup },
      })),
    }))
    .sort(byId),
});

/** What a state implies, given the members that checks have found down. */
export const implied = (
  state: State,
  down: Down,
  { loadBalancerIds }: Pick<Observers, 'loadBalancerIds'>,
): Views => {
  const inForce = asUploaded(state.committed);
  return {
    listed: listenersOf(asUploaded(state.uploaded))
      .map(({ listener, model }) => {
        const { protocol } = expectedListener(listener, model);
        const isLvs = state.uploaded.get(listener.id)?.kind === 'lvs';
        const isActive = !isLvs || state.committed.has(listener.id);
        return `${listener.id} ${isLvs ? 'UDP' : protocol} ${isActive ? 'ACTIVE' : 'OFFLINE'}`;
      })
      .sort(),
    status: listenersOf(inForce)
      .map(({ listener, model }) => {
        const { id, engine, vips, pools } = expectedListener(listener, model);
        return { id, engine, vips, pools: pools.map(withoutSettings) };
      })
      .sort(byId),
    datapath: expectedDatapath(inForce, down),
    haproxy: Object.fromEntries(loadBalancerIds.map((id) => [id, expectedHaproxy(inForce, id)])),
  };
};

const withoutSettings = ({
  id,
  algorithm,
  members,
}: ReturnType<typeof expectedListener>['pools'][number]) => ({
  id,
  algorithm,
  members: members.map(({ id, address, port, weight, backup }) => ({
    ...{ id, address, port, weight, backup },
  })),
});

/** What must hold when the API answers: all but what waits for HAProxy, and who of the monitored is up. */
export const atOnce = (views: Views, state: State): Omit<Views, 'haproxy'> => {
  const checked = new Set(
    listenersOf(asUploaded(state.committed))
      .filter(({ listener, model }) =>
        model.pools.some(
          (pool) => pool.id === listener.default_pool && isMonitored(pool, listener),
        ),
      )
      .flatMap(({ listener, model }) =>
        expectedListener(listener, model).vips.map(({ address, port }) => `${address} ${port}`),
      ),
  );
  return {
    listed: views.listed,
    status: views.status,
    datapath: Object.fromEntries(
      Object.entries(views.datapath).map(([key, service]) => [
        key,
        checked.has(key.slice(key.indexOf(' ') + 1))
          ? { ...service, pool: service.pool && { ...service.pool, shares: {}, memberLimit: 0 } }
          : service,
      ]),
    ),
  };
};

const readStatus = async (vm: AmphoraVm): Promise<Status> => {
  const socket = connect(vm.path('/run/amphora-xdp/control.sock'));
  socket.write('{"command":"status"}\n');
  try {
    for await (const line of createInterface({ input: socket })) {
      const answer = JSON.parse(line) as { readonly result?: Status; readonly error?: string };
      if (answer.result === undefined) throw new Error(`status: ${answer.error ?? 'no answer'}`);
      return answer.result;
    }
    throw new Error('the control socket hung up');
  } finally {
    socket.destroy();
  }
};
