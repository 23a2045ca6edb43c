// SPDX-License-Identifier: Apache-2.0
// The `virtual_server` blocks of a listener, one per address family, into its one pool (contract 4.5.1).
import { isName } from '../model/ids.js';
import type {
  Algorithm,
  Member,
  Monitor,
  Persistence,
  Pool,
  Reason,
} from '../model/load-balancer.js';
import { ConfigRejected } from './config-rejected.js';
import { defaultTimeouts } from './haproxy-backend.js';
import type { Statement } from './keepalived-lexer.js';
import { isChecker, parseChecker, type Checker, type CheckPaths } from './lvs-monitor.js';
import { quoted, readAddress, readInteger, readPort, readWeight } from './values.js';

export interface LvsPool {
  /** Null without a pool, and for a disabled one. */
  readonly pool: Pool | null;
  readonly remarks: readonly Reason[];
}

const algorithms: Readonly<Record<string, Algorithm>> = {
  wrr: 'ROUND_ROBIN',
  rr: 'ROUND_ROBIN',
  lc: 'LEAST_CONNECTIONS',
  wlc: 'LEAST_CONNECTIONS',
  sh: 'SOURCE_IP',
};

interface RealServer {
  readonly member: Member;
  readonly checker: Checker | null;
  readonly connectionLimit: number | null;
}

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
  const servers = uniqueById(blocks.flatMap((block) => readBlock(block, paths)));
  return {
    remarks,
    pool: {
      id,
      protocol: value(first, 'protocol')?.words[1] === 'SCTP' ? 'sctp' : 'udp',
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

const value = (statement: Statement, name: string): Statement | undefined =>
  statement.block?.find(({ kind, words }) => kind === 'directive' && words[0] === name);

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
  const line = value(block, 'lb_algo') ?? value(block, 'lvs_sched');
  return algorithms[line?.words[1] ?? 'wrr'] ?? 'ROUND_ROBIN';
};

const readPersistence = (blocks: readonly Statement[]): Persistence | null => {
  const timeout = blocks.map((block) => value(block, 'persistence_timeout')).find((one) => one);
  if (timeout === undefined) return null;
  const granularity = blocks
    .map((block) => value(block, 'persistence_granularity')?.words[1])
    .find((one) => one !== undefined);
  return {
    type: 'SOURCE_IP',
    timeoutSeconds: readInteger(timeout.words[1] ?? '360', [1, 2 ** 31 - 1], {
      what: 'persistence_timeout',
      line: timeout.line,
    }),
    ...(granularity === undefined ? {} : { granularity }),
  };
};

/** Comments and blocks in their order: a named member takes the next block, a disabled one none. */
const readBlock = (block: Statement, paths: CheckPaths): RealServer[] => {
  const result: RealServer[] = [];
  const ids: string[] = [];
  for (const statement of block.block ?? []) {
    const { kind, words, line } = statement;
    if (kind === 'comment') {
      const text = words.join(' ');
      const id = /^Configuration for Member (\S+)$/.exec(text)?.[1];
      if (id !== undefined) ids.push(readId(id, line));
      const disabled = /^Member (\S+) is disabled$/.exec(text)?.[1];
      if (disabled !== undefined) result.push(disabledMember(readId(disabled, line)));
    } else if (words[0] === 'real_server') {
      const id = ids.shift();
      if (id === undefined) throw new ConfigRejected('no comment names this real_server', line);
      result.push(readServer(statement, id, paths));
    }
  }
  const [left] = ids;
  if (left !== undefined) throw new ConfigRejected(`member ${left} has no real_server`, block.line);
  return result;
};

const readId = (id: string, line: number): string => {
  if (!isName(id)) throw new ConfigRejected(`name ${quoted(id)}`, line);
  return id;
};

/** A config only names it: address, port and weight are not known. */
const disabledMember = (id: string): RealServer => ({
  member: {
    id,
    address: null,
    port: null,
    weight: 0,
    backup: false,
    enabled: false,
    monitorAddress: null,
    monitorPort: null,
  },
  checker: null,
  connectionLimit: null,
});

const readServer = (server: Statement, id: string, paths: CheckPaths): RealServer => {
  const { words, line } = server;
  const address = readAddress(words[1], { what: `address of member ${id}`, line });
  const port = readPort(words[2], { what: `port of member ${id}`, line });
  const weight = value(server, 'weight');
  const limit = value(server, 'uthreshold');
  const check = server.block?.find(isChecker);
  const checker = check === undefined ? null : parseChecker(check, paths);
  const differs = <T>(asked: T | null | undefined, own: T): T | null =>
    asked === null || asked === undefined || asked === own ? null : asked;
  return {
    member: {
      id,
      address,
      port,
      weight:
        weight === undefined
          ? 1
          : readWeight(weight.words[1], { what: `weight of member ${id}`, line: weight.line }),
      backup: false,
      enabled: true,
      monitorAddress: differs(checker?.address, address),
      monitorPort: differs(checker?.port, port),
    },
    checker,
    connectionLimit:
      limit === undefined
        ? null
        : readInteger(limit.words[1], [0, 2 ** 31 - 1], { what: 'uthreshold', line: limit.line }),
  };
};

/** A disabled member is named once per family. */
const uniqueById = (servers: readonly RealServer[]): RealServer[] => {
  const byId = new Map<string, RealServer>();
  for (const server of servers) {
    const { id, address } = server.member;
    const before = byId.get(id)?.member.address;
    if (before !== undefined && before !== null && address !== null) {
      throw new ConfigRejected(`member ${quoted(id)} stands twice`, 1);
    }
    if (before === undefined || before === null) byId.set(id, server);
  }
  return [...byId.values()];
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
    const line = value(block, name);
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

const known = new Set([
  ...['lb_algo', 'lvs_sched', 'lb_kind', 'lvs_method', 'protocol', 'persistence_timeout'],
  ...['persistence_granularity', 'delay_loop', 'delay_before_retry', 'retry', 'real_server'],
]);

const unknownDirectives = (block: Statement): Reason[] =>
  (block.block ?? [])
    .filter(({ kind, words }) => kind === 'directive' && !known.has(words[0]))
    .map(({ words, line }) => ({
      code: 'unknown-directive',
      text: `line ${line}: ${quoted(words[0])} is not honoured`,
    }));
