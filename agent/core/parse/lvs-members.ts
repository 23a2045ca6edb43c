// SPDX-License-Identifier: Apache-2.0
// The members of one `virtual_server` block: comments name them, `real_server` blocks describe them.
import { isName } from '../model/ids.js';
import type { Member } from '../model/load-balancer.js';
import { ConfigRejected } from './config-rejected.js';
import { findDirective, type Statement } from './keepalived-lexer.js';
import { isChecker, parseChecker, type Checker, type CheckPaths } from './lvs-monitor.js';
import { quoted, readAddress, readInteger, readPort, readWeight } from './values.js';

export interface RealServer {
  readonly line: number;
  readonly member: Member;
  readonly checker: Checker | null;
  readonly connectionLimit: number | null;
}

/** Comments and blocks in their order: a named member takes the next block, a disabled one none. */
export const readRealServers = (block: Statement, paths: CheckPaths): RealServer[] => {
  const result: RealServer[] = [];
  const named: { id: string; line: number }[] = [];
  for (const statement of block.block ?? []) {
    const { kind, words, line } = statement;
    if (kind === 'comment') {
      const text = words.join(' ');
      const id = /^Configuration for Member (\S+)$/.exec(text)?.[1];
      if (id !== undefined) named.push({ id: readId(id, line), line });
      const disabled = /^Member (\S+) is disabled$/.exec(text)?.[1];
      if (disabled !== undefined) result.push(disabledMember(readId(disabled, line), line));
    } else if (words[0] === 'real_server') {
      const id = named.shift()?.id;
      if (id === undefined) throw new ConfigRejected('no comment names this real_server', line);
      result.push(readServer(statement, id, paths));
    }
  }
  const [left] = named;
  if (left !== undefined) {
    throw new ConfigRejected(`member ${left.id} has no real_server`, left.line);
  }
  return result;
};

/** A config only names it: address, port and weight are not known. */
const disabledMember = (id: string, line: number): RealServer => ({
  line,
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
  const weight = findDirective(server, 'weight');
  const limit = findDirective(server, 'uthreshold');
  const check = server.block?.find(isChecker);
  const checker = check === undefined ? null : parseChecker(check, paths);
  const differs = <T>(asked: T | null | undefined, own: T): T | null =>
    asked === null || asked === undefined || asked === own ? null : asked;
  return {
    line,
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
export const uniqueById = (servers: readonly RealServer[]): RealServer[] => {
  const byId = new Map<string, RealServer>();
  for (const server of servers) {
    const { id, address } = server.member;
    const before = byId.get(id)?.member.address;
    if (before !== undefined && before !== null && address !== null) {
      throw new ConfigRejected(`member ${quoted(id)} stands twice`, server.line);
    }
    if (before === undefined || before === null) byId.set(id, server);
  }
  return [...byId.values()];
};

/** Throws ConfigRejected for an id that could not stand in a file name. */
export const readId = (id: string, line: number): string => {
  if (!isName(id)) throw new ConfigRejected(`name ${quoted(id)}`, line);
  return id;
};
