// SPDX-License-Identifier: Apache-2.0
// The `virtual_server` blocks of a listener, one per address family, into its one pool (contract 4.5.1).
import type { Algorithm, Monitor, Persistence, Pool, Reason } from '../model/load-balancer.js';
import { defaultTimeouts } from './haproxy-backend.js';
import { findDirective, type Statement } from './keepalived-lexer.js';
import { readId, readRealServers, uniqueById, type RealServer } from './lvs-members.js';
import { isChecker, type CheckPaths } from './lvs-monitor.js';
import { quoted, readAddress, readInteger } from './values.js';

export interface LvsPool {
  /** Null without a pool, and for a disabled one. */
  readonly pool: Pool | null;
  readonly remarks: readonly Reason[];
}

const algorithms: ReadonlyMap<string, Algorithm> = new Map([
  ['wrr', 'ROUND_ROBIN'],
  ['lc', 'LEAST_CONNECTIONS'],
  ['sh', 'SOURCE_IP'],
]);

/** Joins the families: each block holds the members of its own. Throws ConfigRejected. */
export const readLvsPool = (blocks: readonly Statement[], paths: CheckPaths): LvsPool => {
  const [first] = blocks;
  if (first === undefined) return { pool: null, remarks: [] };
  const remarks = blocks.flatMap(unknownDirectives);
  const id = commentId(blocks, /^Configuration for Pool (\S+)$/);
  const disabledId = commentId(blocks, /^Pool (\S+) is disabled$/);
  if (id === null) {
    const text = disabledId === null ? 'no pool is attached' : `pool ${disabledId} is disabled`;
    const code = disabledId === null ? 'no-pool' : 'pool-disabled';
    return { pool: null, remarks: [{ code, text }, ...remarks] };
  }
  const servers = uniqueById(blocks.flatMap((block) => readRealServers(block, paths)));
  return {
    remarks,
    pool: {
      id,
      protocol: findDirective(first, 'protocol')?.words[1] === 'SCTP' ? 'sctp' : 'udp',
      algorithm: readAlgorithm(first),
      persistence: readPersistence(blocks),
      monitor: readMonitor(
        first,
        servers,
        commentId(blocks, /^Configuration for HealthMonitor (\S+)$/),
      ),
      members: servers.map(({ member }) => member),
      memberConnectionLimit:
        servers.find((server) => server.connectionLimit !== null)?.connectionLimit ?? null,
      timeouts: { connectMs: defaultTimeouts.connectMs, serverMs: defaultTimeouts.serverMs },
    },
  };
};

const comments = (block: Statement): Statement[] =>
  (block.block ?? []).filter(({ kind }) => kind === 'comment');

const commentId = (blocks: readonly Statement[], pattern: RegExp): string | null => {
  for (const { words, line } of blocks.flatMap(comments)) {
    const id = pattern.exec(words.join(' '))?.[1];
    if (id !== undefined) return readId(id, line);
  }
  return null;
};

const readAlgorithm = (block: Statement): Algorithm => {
  const line = findDirective(block, 'lb_algo') ?? findDirective(block, 'lvs_sched');
  return algorithms.get(line?.words[1] ?? 'wrr') ?? 'ROUND_ROBIN';
};

const readPersistence = (blocks: readonly Statement[]): Persistence | null => {
  const timeout = blocks
    .map((block) => findDirective(block, 'persistence_timeout'))
    .find((one) => one);
  if (timeout === undefined) return null;
  const granularity = blocks
    .map((block) => findDirective(block, 'persistence_granularity'))
    .find((one) => one !== undefined);
  return {
    type: 'SOURCE_IP',
    timeoutSeconds: readInteger(timeout.words[1] ?? '360', [1, 2 ** 31 - 1], {
      what: 'persistence_timeout',
      line: timeout.line,
    }),
    ...(granularity === undefined ? {} : { granularity: readGranularity(granularity) }),
  };
};

/** An IPv4 mask or an IPv6 prefix length, as written; old controllers write a mask for IPv6 too. */
const readGranularity = ({ words, line }: Statement): string => {
  const [, text = ''] = words;
  const place = { what: 'persistence_granularity', line };
  if (text.includes('.')) return readAddress(text, place);
  return String(readInteger(text, [1, 128], place));
};

/** keepalived counts failures only: the first success brings a member back. */
const rise = 1;

const readMonitor = (
  block: Statement,
  servers: readonly RealServer[],
  id: string | null,
): Monitor | null => {
  const checker = servers.find((server) => server.checker !== null)?.checker ?? null;
  if (checker === null) return null;
  const number = (name: string, otherwise: number): number => {
    const line = findDirective(block, name);
    if (line === undefined) return otherwise;
    return readInteger(line.words[1], [1, 86_400], { what: name, line: line.line });
  };
  return {
    type: checker.type,
    id,
    intervalSeconds: number('delay_loop', 60),
    timeoutSeconds: checker.timeoutSeconds,
    fall: number('retry', 1),
    rise,
    ...(checker.httpPath === undefined
      ? {}
      : { httpMethod: 'GET', httpVersion: '1.0', httpPath: checker.httpPath }),
    ...(checker.expectedCodes === undefined ? {} : { expectedCodes: checker.expectedCodes }),
  };
};

const knownOfPool = new Set([
  ...['lb_algo', 'lvs_sched', 'lb_kind', 'lvs_method', 'protocol', 'persistence_timeout'],
  ...['persistence_granularity', 'delay_loop', 'delay_before_retry', 'retry', 'real_server'],
]);
const knownOfServer = new Set(['weight', 'uthreshold']);

const unknownDirectives = (block: Statement): Reason[] => [
  ...directives(block)
    .filter(({ words }) => !knownOfPool.has(words[0]) || isOtherAlgorithm(words))
    .map(notHonoured),
  ...directives(block)
    .filter(({ words }) => words[0] === 'real_server')
    .flatMap(directives)
    .filter((one) => !knownOfServer.has(one.words[0]) && !isChecker(one))
    .map(notHonoured),
];

/** Served by round robin, as the nearest that we have. */
const isOtherAlgorithm = ([directive, name = '']: Statement['words']): boolean =>
  /^(?:lb_algo|lvs_sched)$/.test(directive) && !algorithms.has(name);

const directives = ({ block }: Statement): Statement[] =>
  (block ?? []).filter(({ kind }) => kind === 'directive');

/** There is no other engine to leave the listener to, so the reader is told. */
export const notHonoured = ({ words, line }: Statement): Reason => ({
  code: 'unknown-directive',
  text: `line ${line}: ${quoted(words[0])} is not honoured`,
});
