// SPDX-License-Identifier: Apache-2.0
// What HAProxy must run of what is in force: the listeners that need a proxy, and the monitors of all others.
import type { ListenerModel, LoadBalancerModel, MemberModel } from '../core/controller-cases.js';
import {
  canonical,
  expectedEngine,
  haproxyListeners,
  isLvs,
  isMonitored,
  renderedMembers,
  renderedPools,
} from '../core/expected-explanation.js';
import type { HaproxyView, ServerView } from '../support/haproxy-view.js';
import type { Uploaded } from './expected-datapath.js';

type Backends = Record<string, Record<string, ServerView>>;

/** Null where nothing is left for HAProxy. */
export const expectedHaproxy = (uploaded: Uploaded, loadBalancerId: string): HaproxyView | null => {
  const model = uploaded.haproxy.get(loadBalancerId);
  const listeners = model === undefined ? [] : haproxyListeners(model);
  const proxied = listeners.filter((one) => engineOf(one, model) === 'haproxy');
  const lvs = [...uploaded.lvs.values()].filter((one) => one.model.id === loadBalancerId);
  const exports = model?.listeners.some(({ protocol }) => protocol === 'PROMETHEUS') === true;
  const frontends = [
    ...proxied.map(({ id }) => id),
    ...(exports ? ['prometheus-exporter-internal-endpoint'] : []),
  ].sort();
  const backends: Backends = Object.assign(
    {},
    ...listeners.map((listener) => backendsOf(listener, model)),
    ...lvs.map((one) => checksOf(one.listener, one.model)),
    exports ? EXPORTER : {},
  ) as Backends;
  if (frontends.length === 0 && Object.keys(backends).length === 0) return null;
  return { frontends, backends: sorted(backends) };
};

const EXPORTER: Backends = {
  'prometheus-exporter-internal': {
    'prometheus-internal': { address: '127.0.0.1', port: 9102, weight: 1, isDisabled: false },
  },
};

const engineOf = (listener: ListenerModel, model: LoadBalancerModel | undefined): string =>
  model === undefined ? 'none' : expectedEngine(listener, model);

/** All pools of a listener that it serves; of the others those that have somebody to check. */
const backendsOf = (listener: ListenerModel, model: LoadBalancerModel | undefined): Backends => {
  if (model === undefined) return {};
  const isServed = engineOf(listener, model) === 'haproxy';
  const pools = renderedPools(listener, model).filter(
    (pool) => isServed || (isMonitored(pool, listener) && pool.members.length > 0),
  );
  return Object.fromEntries(
    pools.map((pool) => [
      `${pool.id}:${listener.id}`,
      Object.fromEntries(
        pool.members.map((member) => [member.id, serverOf(member, !member.enabled)]),
      ),
    ]),
  );
};

/** UDP and SCTP pools: only who can be checked, where the checks go. */
const checksOf = (listener: ListenerModel, model: LoadBalancerModel): Backends => {
  if (!isLvs(listener)) return {};
  const [pool] = renderedPools(listener, model);
  if (pool === undefined || !isMonitored(pool, listener)) return {};
  const members = renderedMembers(pool, listener, model).filter(({ enabled }) => enabled);
  if (members.length === 0) return {};
  const checked = members.map((member) => ({
    ...member,
    address: member.monitor_address ?? member.address,
    protocol_port: member.monitor_port ?? member.protocol_port,
  }));
  return {
    [`${pool.id}:${listener.id}`]: Object.fromEntries(
      checked.map((member) => [member.id, serverOf(member, false)]),
    ),
  };
};

const serverOf = (member: MemberModel, isDisabled: boolean): ServerView => ({
  address: canonical(member.address),
  port: member.protocol_port,
  weight: member.weight,
  isDisabled,
});

const sorted = (backends: Backends): Backends =>
  Object.fromEntries(Object.entries(backends).sort(([a], [b]) => (a < b ? -1 : 1)));
