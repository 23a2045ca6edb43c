// SPDX-License-Identifier: Apache-2.0
// The checker of one real server (contract 4.5.2): what it asks, and where.
import type { IpAddress, Monitor } from '../model/load-balancer.js';
import { ConfigRejected } from './config-rejected.js';
import { findDirective, type Statement } from './keepalived-lexer.js';
import { quoted, readAddress, readInteger, readPort } from './values.js';

export interface Checker {
  readonly type: Monitor['type'];
  readonly address: IpAddress | null;
  readonly port: number | null;
  readonly timeoutSeconds: number;
  readonly httpPath?: string;
  readonly expectedCodes?: readonly number[];
}

/** Where the check script of UDP listeners lies, for the one line that may name it. */
export interface CheckPaths {
  readonly basePath: string;
}

export const isChecker = ({ words }: Statement): boolean =>
  ['MISC_CHECK', 'HTTP_GET', 'SSL_GET', 'TCP_CHECK'].includes(words[0]);

/** Throws ConfigRejected for a program other than the two that controllers name. */
export const parseChecker = (checker: Statement, paths: CheckPaths): Checker => {
  switch (checker.words[0]) {
    case 'MISC_CHECK':
      return parseMiscCheck(checker, paths);
    case 'TCP_CHECK':
      return { type: 'TCP', ...readTarget(checker) };
    case 'HTTP_GET':
      return { type: 'HTTP', ...readTarget(checker), ...readUrls(checker) };
    default:
      return { type: 'HTTPS', ...readTarget(checker), ...readUrls(checker) };
  }
};

const seconds = (statement: Statement | undefined, otherwise: number): number =>
  statement === undefined
    ? otherwise
    : readInteger(statement.words[1], [0, 86_400], {
        what: statement.words[0],
        line: statement.line,
      });

/** keepalived's default `connect_timeout` and `misc_timeout`, in seconds. */
const defaultTimeout = 5;

const readTarget = (checker: Statement): Pick<Checker, 'address' | 'port' | 'timeoutSeconds'> => {
  const ip = findDirective(checker, 'connect_ip');
  const port = findDirective(checker, 'connect_port');
  return {
    address:
      ip === undefined ? null : readAddress(ip.words[1], { what: 'connect_ip', line: ip.line }),
    port:
      port === undefined
        ? null
        : readPort(port.words[1], { what: 'connect_port', line: port.line }),
    timeoutSeconds: seconds(findDirective(checker, 'connect_timeout'), defaultTimeout),
  };
};

/** One `url` block per code; the operator means any of them (contract P46). */
const readUrls = (checker: Statement): Pick<Checker, 'httpPath' | 'expectedCodes'> => {
  const urls = (checker.block ?? []).filter(({ words }) => words[0] === 'url');
  const codes = urls.flatMap((url) => {
    const code = findDirective(url, 'status_code');
    if (code === undefined) return [];
    return [readInteger(code.words[1], [100, 599], { what: 'status_code', line: code.line })];
  });
  const [url] = urls;
  return {
    httpPath: (url === undefined ? undefined : findDirective(url, 'path'))?.words[1] ?? '/',
    expectedCodes: [...new Set(codes)].sort((a, b) => a - b),
  };
};

const parseMiscCheck = (checker: Statement, { basePath }: CheckPaths): Checker => {
  const path = findDirective(checker, 'misc_path');
  const [program, ...args] = (path?.words[1] ?? '').split(/[ \t]+/);
  const reject = (): never => {
    throw new ConfigRejected(`check program ${quoted(path?.words[1])}`, path?.line ?? checker.line);
  };
  if (path === undefined) return reject();
  const timeout = seconds(findDirective(checker, 'misc_timeout'), defaultTimeout);
  const target = (address: string | undefined, port: string | undefined) => ({
    address: readAddress(address, { what: 'address of misc_path', line: path.line }),
    port: readPort(port, { what: 'port of misc_path', line: path.line }),
  });
  if (program === `${basePath}/lvs/check/udp_check.sh` && args.length === 2) {
    return { type: 'UDP-CONNECT', ...target(args[0], args[1]), timeoutSeconds: timeout };
  }
  if (program === 'amphora-health-checker' && args[0] === 'sctp' && args[1] === '-t') {
    const own = readInteger(args[2], [0, 86_400], {
      what: 'timeout of misc_path',
      line: path.line,
    });
    if (args.length === 5)
      return { type: 'SCTP', ...target(args[3], args[4]), timeoutSeconds: own };
  }
  return reject();
};
