// SPDX-License-Identifier: Apache-2.0
// A `backend` section into a pool (contract 4.3.6), with what keeps it from being served at layer 4.
import { splitBackendName } from '../model/ids.js';
import type { Algorithm, Persistence, Pool, PoolProtocol, Reason } from '../model/load-balancer.js';
import { ConfigRejected } from './config-rejected.js';
import type { Line, Section } from './haproxy-lexer.js';
import { readMonitor } from './haproxy-monitor.js';
import { parseServer, type ServerLine } from './haproxy-server.js';
import { enforceLimit, type ConfigLimits } from './limits.js';
import { explainDirective } from './reasons.js';
import { readInteger, readTimeMs } from './values.js';

export interface Backend {
  readonly name: string;
  readonly pool: Pool;
  readonly obstacles: readonly Reason[];
}

/** Octavia's defaults, for what a config leaves out. */
export const defaultTimeouts = { clientMs: 50_000, connectMs: 5_000, serverMs: 50_000 } as const;

const algorithms: ReadonlyMap<string, Algorithm> = new Map([
  ['roundrobin', 'ROUND_ROBIN'],
  ['leastconn', 'LEAST_CONNECTIONS'],
  ['source', 'SOURCE_IP'],
]);

/** `inherited` are the directives of the `defaults` in force. Throws ConfigRejected. */
export const parseBackend = (
  section: Section,
  inherited: readonly Line[],
  limits: ConfigLimits,
): Backend => {
  const lines = [...inherited, ...section.body];
  const servers = readServers(section, limits);
  const protocol: PoolProtocol = last(lines, 'mode')?.words[1] === 'http' ? 'http' : 'tcp';
  const pool: Pool = {
    id: splitBackendName(section.name).poolId,
    protocol,
    algorithm: algorithms.get(last(lines, 'balance')?.words[1] ?? 'roundrobin') ?? 'ROUND_ROBIN',
    persistence: readPersistence(section.body),
    monitor: readMonitor(
      lines,
      servers.map(({ check }) => check),
    ),
    members: servers.map(({ member }) => member),
    memberConnectionLimit: null,
    timeouts: {
      connectMs: readTimeout(lines, 'connect') ?? defaultTimeouts.connectMs,
      serverMs: readTimeout(lines, 'server') ?? defaultTimeouts.serverMs,
    },
  };
  return { name: section.name, pool, obstacles: backendObstacles(section, lines, pool, servers) };
};

/** The last line of a directive, which is the one that counts. */
export const last = (lines: readonly Line[], directive: string): Line | undefined =>
  lines.findLast(({ words }) => words[0] === directive);

/** Milliseconds of `timeout <name>`, or null. */
export const readTimeout = (lines: readonly Line[], name: string): number | null => {
  const line = lines.findLast(({ words }) => words[0] === 'timeout' && words[1] === name);
  if (line === undefined) return null;
  return readTimeMs(line.words[2], { what: `timeout ${name}`, line: line.number });
};

const readServers = (section: Section, limits: ConfigLimits): ServerLine[] => {
  const lines = section.body.filter(({ words }) => words[0] === 'server');
  enforceLimit(lines.length, limits.poolMembers, 'members in a pool', section.head.number);
  const seen = new Set<string>();
  return lines.map((line) => {
    const server = parseServer(line);
    if (seen.has(server.member.id)) {
      throw new ConfigRejected(`a second server ${server.member.id} in its backend`, line.number);
    }
    seen.add(server.member.id);
    return server;
  });
};

const readPersistence = (lines: readonly Line[]): Persistence | null => {
  const stick = lines.find(({ words }) => words[0] === 'stick');
  if (last(lines, 'cookie') !== undefined) return { type: 'HTTP_COOKIE' };
  if (stick === undefined) return null;
  if (stick.words[1] === 'on' && stick.words[2] === 'src') return { type: 'SOURCE_IP' };
  const name = /^res\.cook\((.*)\)$/.exec(stick.words[2] ?? '')?.[1];
  return name === undefined ? null : { type: 'APP_COOKIE', cookieName: name };
};

const backendObstacles = (
  section: Section,
  lines: readonly Line[],
  pool: Pool,
  servers: readonly ServerLine[],
): Reason[] => {
  const reasons = servers.flatMap(({ obstacles }) => obstacles);
  if (pool.protocol === 'http') {
    reasons.unshift({ code: 'http-pool', text: `pool ${pool.id} speaks HTTP` });
  }
  const [extra] = section.head.words.slice(2);
  if (extra !== undefined) reasons.push(explainDirective(section.head));
  const backups = pool.members.filter((member) => member.backup).length;
  const allBackups = lines.some(({ words }) => words.join(' ') === 'option allbackups');
  if (backups > 1 && !allBackups) {
    const text = `pool ${pool.id} uses its backup members one at a time`;
    reasons.push({ code: 'one-backup', text });
  }
  return [...reasons, ...section.body.filter((line) => !isKnown(line)).map(explainDirective)];
};

const knownOptions = new Set(['allbackups', 'redispatch', 'httpchk', 'ssl-hello-chk']);
const knownTimeouts = new Set(['connect', 'server', 'check', 'queue']);

/** Directives of contract 4.3.6 that a layer 4 pool honours, or on which it does not depend. */
const isKnown = ({ words, number }: Line): boolean => {
  const [directive, first, second] = words;
  switch (directive) {
    case 'mode':
      return first === 'tcp' || first === 'http';
    case 'balance':
      return algorithms.has(first ?? '') && second === undefined;
    case 'stick-table':
      return true;
    case 'stick':
      return (first === 'on' && second === 'src') || /\bcook\(/.test(second ?? '');
    case 'cookie':
    case 'server':
    case 'http-reuse':
    case 'http-check':
    case 'retries':
    case 'load-server-state-from-file':
      return true;
    case 'external-check':
      return first === 'command';
    case 'fullconn':
      readInteger(first, [0, 2 ** 31 - 1], { what: 'fullconn', line: number });
      return true;
    case 'timeout':
      return knownTimeouts.has(first ?? '');
    case 'option':
      return knownOptions.has(first ?? '') || first === 'external-check';
    default:
      return false;
  }
};
