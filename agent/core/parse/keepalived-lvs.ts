// SPDX-License-Identifier: Apache-2.0
// The keepalived config of one UDP or SCTP listener into the model (contract 4.5).
import { isName } from '../model/ids.js';
import type { Listener, ListenerProtocol, Reason } from '../model/load-balancer.js';
import { withEngine, type UndecidedListener } from '../plan/offload.js';
import { ConfigRejected } from './config-rejected.js';
import { defaultTimeouts } from './haproxy-backend.js';
import { lexKeepalived, type Statement } from './keepalived-lexer.js';
import { defaultLimits, enforceLimit, type ConfigLimits } from './limits.js';
import { refuseLvsDanger } from './lvs-danger.js';
import { notHonoured, readLvsPool } from './lvs-pool.js';
import { quoted, readAddress, readPort } from './values.js';

export interface LvsOptions {
  /** `base_path` of the agent's config. Default: /var/lib/octavia. */
  readonly basePath?: string;
  readonly limits?: Partial<ConfigLimits>;
}

/**
 * Reads what a controller uploads for one UDP or SCTP listener. The ids are in the comments, and the
 * i-th member comment is the i-th real server's. A disabled listener has neither protocol nor VIPs in
 * its config: it is given as UDP, without VIPs. Throws ConfigRejected.
 */
export const parseLvsConfig = (text: string, options: LvsOptions = {}): Listener => {
  const limits = { ...defaultLimits, ...options.limits };
  const statements = lexKeepalived(text, limits);
  const { basePath = '/var/lib/octavia' } = options;
  refuseLvsDanger(statements);
  const { id, enabled, loadBalancerId } = readHead(statements);
  const servers = statements.filter(isDirective('virtual_server'));
  const groups = readGroups(statements);
  for (const { words, line } of servers) {
    if (words[1] !== 'group' || !groups.has(words[2] ?? '')) {
      throw new ConfigRejected(`virtual_server ${quoted(words[1])} has no group`, line);
    }
  }
  const pool = readLvsPool(servers, { basePath });
  enforceLimit(pool.pool?.members.length ?? 0, limits.poolMembers, 'members in a pool', 1);
  const listener: UndecidedListener = {
    id,
    loadBalancerId,
    origin: 'lvs',
    protocol: readProtocol(servers),
    enabled,
    vips: servers.flatMap(({ words }) => groups.get(words[2] ?? '') ?? []),
    connectionLimit: null, // uthreshold is per member: Pool.memberConnectionLimit
    timeouts: defaultTimeouts,
    defaultPool: pool.pool?.id ?? null,
    pools: pool.pool === null ? [] : [pool.pool],
    logFormat: null,
  };
  const remarks: Reason[] = [...pool.remarks, ...unknownTop(statements)];
  return withEngine({ listener, obstacles: [], remarks, localAddresses: new Set() });
};

const isDirective =
  (name: string) =>
  ({ kind, words }: Statement): boolean =>
    kind === 'directive' && words[0] === name;

const readHead = (
  statements: readonly Statement[],
): { id: string; enabled: boolean; loadBalancerId: string } => {
  const comments = statements
    .filter(({ kind }) => kind === 'comment')
    .map(({ words }) => words.join(' '));
  const match = (pattern: RegExp): string | undefined =>
    comments.map((comment) => pattern.exec(comment)?.[1]).find((id) => id !== undefined);
  const enabled = match(/^Configuration for Listener ([A-Za-z0-9_.-]{1,64})$/);
  const disabled = match(/^Listener ([A-Za-z0-9_.-]{1,64}) is disabled$/);
  const id = enabled ?? disabled;
  if (id === undefined || !isName(id)) {
    throw new ConfigRejected('no comment names the listener', 1);
  }
  return {
    id,
    enabled: enabled !== undefined,
    loadBalancerId: match(/^Configuration for Loadbalancer ([A-Za-z0-9_.-]{1,64})$/) ?? '',
  };
};

const readGroups = (statements: readonly Statement[]): ReadonlyMap<string, Listener['vips']> => {
  const groups = new Map<string, Listener['vips']>();
  const seen = new Set<string>();
  for (const { words, line, block } of statements.filter(isDirective('virtual_server_group'))) {
    const name = words[1] ?? '';
    if (groups.has(name))
      throw new ConfigRejected(`a second virtual_server_group ${quoted(name)}`, line);
    const vips = (block ?? [])
      .filter(({ kind }) => kind === 'directive')
      .map((entry) => {
        const vip = {
          address: readAddress(entry.words[0], { what: 'VIP', line: entry.line }),
          port: readPort(entry.words[1], { what: 'port of the VIP', line: entry.line }),
        };
        const key = `${vip.address} ${vip.port}`;
        if (seen.has(key))
          throw new ConfigRejected(`${vip.address} port ${vip.port} stands twice`, entry.line);
        seen.add(key);
        return vip;
      });
    groups.set(name, vips);
  }
  return groups;
};

const readProtocol = (servers: readonly Statement[]): ListenerProtocol => {
  const found = new Set<ListenerProtocol>();
  for (const { block, line } of servers) {
    const protocol = block?.find(isDirective('protocol'));
    const word = protocol?.words[1];
    if (word !== 'UDP' && word !== 'SCTP') {
      throw new ConfigRejected(`protocol ${quoted(word)}`, protocol?.line ?? line);
    }
    found.add(word);
    if (found.size > 1) throw new ConfigRejected('two protocols in one listener', line);
  }
  return [...found][0] ?? 'UDP';
};

const unknownTop = (statements: readonly Statement[]): Reason[] =>
  statements
    .filter(({ kind, words }) => kind === 'directive' && !knownTop.has(words[0]))
    .map(notHonoured);

const knownTop = new Set(['net_namespace', 'virtual_server_group', 'virtual_server']);
