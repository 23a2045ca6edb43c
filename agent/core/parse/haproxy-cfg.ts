// SPDX-License-Identifier: Apache-2.0
// The combined HAProxy config of a load balancer into the model (contract 4.2, 4.3).
import type { LogTarget } from '../log/log-target.js';
import { isName, splitBackendName } from '../model/ids.js';
import type { IpAddress, Listener, Pool, Reason } from '../model/load-balancer.js';
import { withEngine } from '../plan/offload.js';
import { ConfigRejected } from './config-rejected.js';
import { defaultTimeouts, parseBackend, type Backend } from './haproxy-backend.js';
import { refuseDanger } from './haproxy-danger.js';
import type { AllowedPaths } from './haproxy-files.js';
import { type ConfigLog, readLog } from './haproxy-log.js';
import { parseFrontend, type Frontend } from './haproxy-frontend.js';
import { lexHaproxy, type Line, type Section } from './haproxy-lexer.js';
import { explainDirective } from './reasons.js';
import { defaultLimits, enforceLimit, type ConfigLimits } from './limits.js';
import { quoted } from './values.js';

export interface HaproxyOptions {
  /** `base_path` of the agent's config. Default: /var/lib/octavia. */
  readonly basePath?: string;
  /** `base_cert_dir` of the agent's config. Default: /var/lib/octavia/certs. */
  readonly certDir?: string;
  /** Addresses of the amphora itself, where HAProxy can reach a member and the datapath cannot. */
  readonly localAddresses?: ReadonlySet<IpAddress>;
  readonly limits?: Partial<ConfigLimits>;
}

export interface HaproxyConfig {
  /** From the first comment, else from the name of the stats socket, else empty. */
  readonly loadBalancerId: string;
  /** Path of the first `stats socket`. */
  readonly statsSocket: string | null;
  /** In the order of the frontends; without the internal Prometheus one, as in the heartbeat. */
  readonly listeners: readonly Listener[];
  readonly sections: readonly Section[];
  /** Where lines of flows go; empty with `no log`. */
  readonly logTargets: readonly LogTarget[];
}

/**
 * Reads what a controller uploads for TCP, HTTP and TLS listeners, and decides for each which engine
 * serves it. Throws ConfigRejected for what is unparsable or dangerous; what is merely unknown keeps
 * its listener in HAProxy.
 */
export const parseHaproxyConfig = (text: string, options: HaproxyOptions = {}): HaproxyConfig => {
  const limits = { ...defaultLimits, ...options.limits };
  const sections = lexHaproxy(text, limits);
  refuseDanger(sections, allowedPaths(options));
  refuseDuplicates(sections);
  const { frontends, backends, inheritedObstacles } = readProxies(sections, limits);
  refuseSharedAddresses(frontends);
  const statsSocket = readStatsSocket(sections);
  const log = readLog(sections);
  const loadBalancerId = readLoadBalancerId(text) ?? idOfSocket(statsSocket);
  const vips = frontends.flatMap((frontend) => frontend.vips.map(({ address }) => address));
  const localAddresses = new Set([...(options.localAddresses ?? []), ...vips]);
  return {
    loadBalancerId,
    statsSocket,
    sections,
    logTargets: log.logTargets,
    listeners: frontends
      .filter(({ id }) => !isInternal(id))
      .map((frontend) => {
        const used = usedBackends(frontend, backends);
        return withEngine({
          listener: joinListener(frontend, used, { loadBalancerId, log }),
          obstacles: [
            ...frontend.obstacles,
            ...missingBackends(frontend, backends),
            ...used.flatMap(({ obstacles }) => obstacles),
            ...inheritedObstacles,
            ...(frontend.logFormat === null ? [] : log.obstacles),
          ],
          remarks: [],
          localAddresses,
        });
      }),
  };
};

const allowedPaths = ({
  basePath = '/var/lib/octavia',
  certDir = '/var/lib/octavia/certs',
}: HaproxyOptions): AllowedPaths => ({
  folders: [basePath, certDir],
  files: ['/run/rsyslog/octavia/log', '/dev/log'],
  // a constant of the image, whatever base_path is (contract, appendix B)
  commands: ['/var/lib/octavia/ping-wrapper.sh'],
});

const refuseDuplicates = (sections: readonly Section[]): void => {
  const seen = new Set<string>();
  for (const { kind, name, head } of sections) {
    // `listen` is a frontend and a backend at once
    const keys = kind === 'listen' ? ['frontend', 'backend'] : [kind];
    if (name === '' && kind !== 'global' && kind !== 'defaults') {
      throw new ConfigRejected(`a ${kind} without a name`, head.number);
    }
    if (name === '') continue;
    if (!isName(name)) throw new ConfigRejected(`${kind} name ${quoted(name)}`, head.number);
    for (const key of keys) {
      if (seen.has(`${key} ${name}`))
        throw new ConfigRejected(`a second ${key} ${name}`, head.number);
      seen.add(`${key} ${name}`);
    }
  }
};

/** Reads proxies with the `defaults` that stand above them. */
const readProxies = (sections: readonly Section[], limits: ConfigLimits) => {
  const frontends: Frontend[] = [];
  const backends = new Map<string, Backend>();
  const inheritedObstacles: Reason[] = [];
  let inherited: readonly Line[] = [];
  let members = 0;
  for (const section of sections) {
    if (section.kind === 'defaults') {
      inherited = section.body;
      inheritedObstacles.push(
        ...section.body.filter((line) => !isKnown(line)).map(explainDirective),
      );
    } else if (section.kind === 'frontend') {
      frontends.push(parseFrontend(section, inherited));
      enforceLimit(frontends.length, limits.listeners, 'listeners', section.head.number);
    } else if (section.kind === 'backend') {
      const backend = parseBackend(section, inherited, limits);
      members += backend.pool.members.length;
      enforceLimit(members, limits.members, 'members', section.head.number);
      backends.set(section.name, backend);
    }
  }
  return { frontends, backends, inheritedObstacles };
};

const knownOptions = new Set([
  'redispatch',
  'splice-request',
  'splice-response',
  'http-keep-alive',
]);

const knownTimeouts = new Set(['client', 'connect', 'server', 'check', 'queue', 'http-request']);

/** Directives of `defaults` (contract 4.3.2), and those that every proxy reads from there. */
const isKnown = ({ words }: Line): boolean => {
  const [directive, first] = words;
  if (directive === 'no') return first === 'log';
  if (directive === 'option') return knownOptions.has(first ?? '');
  if (directive === 'timeout') return knownTimeouts.has(first ?? '');
  return ['log', 'retries', 'mode', 'maxconn', 'balance', 'log-format'].includes(directive);
};

const refuseSharedAddresses = (frontends: readonly Frontend[]): void => {
  const owners = new Set<string>();
  for (const { vips, line } of frontends.flatMap(({ binds }) => binds)) {
    for (const { address, port } of vips) {
      const key = `${address} ${port}`;
      if (owners.has(key)) throw new ConfigRejected(`${address} port ${port} is bound twice`, line);
      owners.add(key);
    }
  }
};

/** The exporter's own sections (contract 4.3.10); a user's PROMETHEUS listener has its id as name. */
const isInternal = (name: string): boolean => name.startsWith('prometheus-exporter-internal');

/** The backends named for this listener, and those that it names, in the order of the config. */
const usedBackends = (
  { id, defaultBackend, otherBackends }: Frontend,
  backends: ReadonlyMap<string, Backend>,
): Backend[] => {
  const named = new Set([defaultBackend, ...otherBackends]);
  return [...backends.values()].filter(
    ({ name }) =>
      !isInternal(name) && (named.has(name) || splitBackendName(name).listenerId === id),
  );
};

const missingBackends = (
  { defaultBackend }: Frontend,
  backends: ReadonlyMap<string, Backend>,
): Reason[] =>
  defaultBackend === null || backends.has(defaultBackend)
    ? []
    : [{ code: 'no-backend', text: `backend ${defaultBackend} is not in the config` }];

const joinListener = (
  frontend: Frontend,
  used: readonly Backend[],
  { loadBalancerId, log }: { readonly loadBalancerId: string; readonly log: ConfigLog },
): Parameters<typeof withEngine>[0]['listener'] => {
  const pools = used.map(({ pool }) => pool);
  const first = used.find(({ name }) => name === frontend.defaultBackend)?.pool;
  const timeouts: Pool['timeouts'] = (first ?? pools[0])?.timeouts ?? defaultTimeouts;
  return {
    id: frontend.id,
    loadBalancerId,
    origin: 'haproxy',
    protocol: frontend.protocol,
    enabled: true, // a disabled listener is not in the config (contract 4.2)
    vips: frontend.vips,
    connectionLimit: frontend.connectionLimit,
    timeouts: {
      clientMs: frontend.clientMs,
      connectMs: timeouts.connectMs,
      serverMs: timeouts.serverMs,
    },
    defaultPool: first?.id ?? null,
    pools,
    logFormat: log.logTargets.length === 0 ? null : frontend.logFormat,
    logTargets: log.logTargets,
  };
};

const readStatsSocket = (sections: readonly Section[]): string | null =>
  sections
    .filter(({ kind }) => kind === 'global')
    .flatMap(({ body }) => body)
    .find(({ words }) => words[0] === 'stats' && words[1] === 'socket')?.words[2] ?? null;

const readLoadBalancerId = (text: string): string | null =>
  /^# Configuration for loadbalancer ([A-Za-z0-9_.-]{1,64})\s*$/m.exec(text)?.[1] ?? null;

const idOfSocket = (path: string | null): string => /([^/]+)\.sock$/.exec(path ?? '')?.[1] ?? '';
