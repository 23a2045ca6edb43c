// SPDX-License-Identifier: Apache-2.0
// What a config must be understood as, worked out from the load balancer that it was rendered from, never from its
// text: contract 4.1 to 4.5.
import type {
  ListenerModel,
  LoadBalancerModel,
  MemberModel,
  PoolModel,
} from './controller-cases.js';

export const isLvs = ({ protocol }: ListenerModel): boolean =>
  protocol === 'UDP' || protocol === 'SCTP';

export const isIpv6 = (address: string): boolean => address.includes(':');

/** The one spelling of an address that the agent uses (RFC 5952); users have many. */
export const canonical = (address: string): string =>
  isIpv6(address) ? new URL(`http://[${address}]/`).hostname.slice(1, -1) : address;

export const vipsOf = (model: LoadBalancerModel): string[] => [model.vip, ...model.additional_vips];

/** Listeners of the HAProxy config: those that are disabled are not in it. */
export const haproxyListeners = (model: LoadBalancerModel): readonly ListenerModel[] =>
  model.enabled ? model.listeners.filter((one) => !isLvs(one) && one.enabled) : [];

/** Pools that the listener's config holds, in the order of the model. */
export const renderedPools = (
  listener: ListenerModel,
  model: LoadBalancerModel,
): readonly PoolModel[] => {
  if (isLvs(listener) && !(listener.enabled && model.enabled)) return [];
  const wanted = new Set([
    listener.default_pool,
    ...listener.l7policies.map((policy) => policy.redirect_pool),
  ]);
  return model.pools.filter(({ id, enabled }) => enabled && wanted.has(id));
};

/** Of an LVS config: members of a family that has a VIP, family by family (contract 4.5.1). */
export const renderedMembers = (
  pool: PoolModel,
  listener: ListenerModel,
  model: LoadBalancerModel,
): readonly MemberModel[] => {
  if (!isLvs(listener)) return pool.members;
  return [false, true]
    .filter((family) => vipsOf(model).some((vip) => isIpv6(vip) === family))
    .flatMap((family) => pool.members.filter(({ address }) => isIpv6(address) === family));
};

/** What a config tells of the protocol: HTTPS passes through as TCP, the exporter speaks HTTP. */
const seenProtocol = (listener: ListenerModel, model: LoadBalancerModel): string => {
  // Without a virtual_server nothing says SCTP.
  if (isLvs(listener) && expectedVips(listener, model).length === 0) return 'UDP';
  return { HTTPS: 'TCP', PROMETHEUS: 'HTTP' }[listener.protocol] ?? listener.protocol;
};

const expectedVips = (listener: ListenerModel, model: LoadBalancerModel) => {
  const isBare = isLvs(listener) && !(listener.enabled && model.enabled && listener.default_pool);
  if (isBare) return [];
  const port = listener.protocol_port;
  const vips = vipsOf(model).map((address) => ({ address: canonical(address), port }));
  // Two groups, IPv4 first.
  return isLvs(listener)
    ? [...vips].sort((a, b) => Number(isIpv6(a.address)) - Number(isIpv6(b.address)))
    : vips;
};

export const expectedEngine = (listener: ListenerModel, model: LoadBalancerModel): string => {
  const addresses = expectedVips(listener, model).map(({ address }) => address);
  if (isLvs(listener)) return addresses.length === 0 ? 'none' : 'datapath';
  if (!['TCP', 'HTTPS'].includes(listener.protocol)) return 'haproxy';
  const pools = renderedPools(listener, model);
  if (pools.some(needsProxy)) return 'haproxy';
  const members = pools.flatMap((pool) => pool.members.filter(({ enabled }) => enabled));
  if (members.some(({ address }) => addresses.includes(canonical(address)))) return 'haproxy';
  const isMixed = members.some(({ address }) =>
    addresses.some((vip) => isIpv6(vip) !== isIpv6(address)),
  );
  // The datapath does not translate between families.
  return isMixed ? 'haproxy' : 'datapath';
};

/** PROXY headers and TLS are options of servers: without members nobody needs them. */
const needsProxy = ({ protocol, tls, members }: PoolModel): boolean => {
  if (protocol === 'HTTP') return true;
  return members.length > 0 && (protocol.startsWith('PROXY') || tls?.enabled === true);
};

/** The controller writes 50000 for HAProxy and nothing for LVS where there is no limit; LVS limits members. */
const expectedLimit = (listener: ListenerModel, model: LoadBalancerModel): number | null => {
  const limit = listener.connection_limit > 0 ? listener.connection_limit : null;
  if (!isLvs(listener)) return limit ?? 50_000;
  const servers = renderedPools(listener, model)
    .flatMap((pool) => renderedMembers(pool, listener, model))
    .filter(({ enabled }) => enabled);
  return servers.length === 0 ? null : limit;
};

/** Backends carry the timeouts of members, and LVS configs none. */
const expectedTimeouts = (listener: ListenerModel, model: LoadBalancerModel) => {
  const defaults = { clientMs: 50_000, connectMs: 5000, serverMs: 50_000 };
  if (isLvs(listener)) return defaults;
  const hasBackend = renderedPools(listener, model).length > 0;
  return {
    clientMs: listener.timeout_client_data || defaults.clientMs,
    connectMs: (hasBackend && listener.timeout_member_connect) || defaults.connectMs,
    serverMs: (hasBackend && listener.timeout_member_data) || defaults.serverMs,
  };
};

/** One listener as `amphoractl explain --json` must show it; reasons are for people and null here. */
export const expectedListener = (listener: ListenerModel, model: LoadBalancerModel) => {
  const pools = renderedPools(listener, model);
  return {
    id: listener.id,
    protocol: seenProtocol(listener, model),
    vips: expectedVips(listener, model),
    engine: expectedEngine(listener, model),
    reasons: null,
    connectionLimit: expectedLimit(listener, model),
    timeouts: expectedTimeouts(listener, model),
    defaultPool: pools.find(({ id }) => id === listener.default_pool)?.id ?? null,
    pools: pools.map((pool) => expectedPool(pool, listener, model)).sort(byId),
  };
};

export const byId = (a: { id: string }, b: { id: string }): number => a.id.localeCompare(b.id);

const expectedPool = (pool: PoolModel, listener: ListenerModel, model: LoadBalancerModel) => ({
  id: pool.id,
  protocol: expectedPoolProtocol(pool.protocol, listener.protocol),
  algorithm: pool.lb_algorithm,
  persistence: expectedPersistence(pool, listener),
  members: renderedMembers(pool, listener, model).map((member) =>
    expectedMember(member, pool, listener),
  ),
});

const expectedPoolProtocol = (pool: string, listener: string): string => {
  if (pool === 'UDP' || pool === 'SCTP') return pool.toLowerCase();
  if (pool.startsWith('PROXY')) return listener === 'TCP' || listener === 'HTTPS' ? 'tcp' : 'http';
  return pool === 'HTTP' ? 'http' : 'tcp';
};

/** As the renderer writes it and HAProxy gets it (contract 4.2). */
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const expectedPersistence = (
  { session_persistence: given }: PoolModel,
  listener: ListenerModel,
) => {
  if (given === null) return null;
  if (given.type === 'APP_COOKIE') {
    return { type: 'APP_COOKIE', cookieName: escaped(given.cookie_name ?? '') };
  }
  if (given.type !== 'SOURCE_IP' || !isLvs(listener)) return { type: given.type };
  return {
    type: 'SOURCE_IP',
    timeoutSeconds: given.persistence_timeout ?? 360,
    granularity: given.persistence_granularity ?? '255.255.255.255',
  };
};

/** True where the config holds a checker: LVS has none for HTTP with another method than GET (contract 4.5.2). */
export const isMonitored = (
  { health_monitor: monitor }: PoolModel,
  listener: ListenerModel,
): boolean => {
  if (monitor?.enabled !== true) return false;
  return !isLvs(listener) || monitor.type !== 'HTTP' || monitor.http_method === 'GET';
};

const expectedMember = (member: MemberModel, pool: PoolModel, listener: ListenerModel) => {
  if (isLvs(listener) && !member.enabled) return disabledLvsMember(member);
  const monitored = isMonitored(pool, listener);
  // A checker always names an address and a port: the member's own are nothing special.
  const differs = <T>(asked: T, own: T): T | null =>
    isLvs(listener) && asked === own ? null : asked;
  return {
    id: member.id,
    address: canonical(member.address),
    port: member.protocol_port,
    weight: member.weight,
    backup: !isLvs(listener) && member.backup,
    enabled: member.enabled,
    monitorAddress: monitored
      ? differs(
          member.monitor_address && canonical(member.monitor_address),
          canonical(member.address),
        )
      : null,
    monitorPort: monitored ? differs(member.monitor_port, member.protocol_port) : null,
  };
};

/** Its config names it and says no more. */
const disabledLvsMember = ({ id }: MemberModel) => ({
  id,
  address: null,
  port: null,
  weight: 0,
  backup: false,
  enabled: false,
  monitorAddress: null,
  monitorPort: null,
});
