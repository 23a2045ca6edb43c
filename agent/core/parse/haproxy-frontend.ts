// SPDX-License-Identifier: Apache-2.0
// A `frontend` section into a listener without its pools (contract 4.3.4).
import type { Endpoint, ListenerProtocol, Reason } from '../model/load-balancer.js';
import { defaultTimeouts, last, readTimeout } from './haproxy-backend.js';
import { parseBind, type BindLine } from './haproxy-bind.js';
import type { Line, Section } from './haproxy-lexer.js';
import { explainDirective } from './reasons.js';
import { readInteger } from './values.js';

export interface Frontend {
  readonly id: string;
  readonly protocol: ListenerProtocol;
  readonly binds: readonly BindLine[];
  readonly vips: readonly Endpoint[];
  readonly connectionLimit: number | null;
  readonly clientMs: number;
  /** Names of backends: the default one first. */
  readonly defaultBackend: string | null;
  readonly otherBackends: readonly string[];
  readonly logFormat: string | null;
  readonly obstacles: readonly Reason[];
}

/** `inherited` are the directives of the `defaults` in force. Throws ConfigRejected. */
export const parseFrontend = (section: Section, inherited: readonly Line[]): Frontend => {
  const { name, head, body } = section;
  const lines = [...inherited, ...body];
  const binds = body.filter(({ words }) => words[0] === 'bind').map(parseBind);
  const isHttp = last(lines, 'mode')?.words[1] === 'http';
  const isTls = binds.some((bind) => bind.isTls);
  const maxconn = last(lines, 'maxconn');
  return {
    id: name,
    protocol: isTls && isHttp ? 'TERMINATED_HTTPS' : isHttp ? 'HTTP' : 'TCP',
    binds,
    vips: binds.flatMap((bind) => bind.vips),
    connectionLimit: maxconn === undefined ? null : readMaxconn(maxconn),
    clientMs: readTimeout(lines, 'client') ?? defaultTimeouts.clientMs,
    defaultBackend: last(lines, 'default_backend')?.words[1] ?? null,
    otherBackends: body.flatMap(({ words }) =>
      words[0] === 'use_backend' ? words.slice(1, 2) : [],
    ),
    logFormat: last(lines, 'log-format')?.words[1] ?? null,
    obstacles: [
      ...(isHttp ? [{ code: 'http-mode', text: 'HTTP is balanced request by request' }] : []),
      ...binds.flatMap((bind) => bind.obstacles),
      ...(binds.length === 0 ? [{ code: 'no-bind', text: 'the frontend has no bind line' }] : []),
      ...[head].filter(({ words }) => words.length > 2).map(explainDirective),
      ...body.filter((line) => !isKnown(line)).map(explainDirective),
    ],
  };
};

/** Null for 0, which HAProxy takes for no limit of this frontend's own. */
const readMaxconn = ({ words, number }: Line): number | null =>
  readInteger(words[1], [0, 2 ** 31 - 1], { what: 'maxconn', line: number }) || null;

/** Directives of contract 4.3.4 that a layer 4 listener honours, or on which it does not depend. */
const isKnown = ({ words }: Line): boolean => {
  const [directive, first] = words;
  switch (directive) {
    case 'mode':
      return first === 'tcp' || first === 'http';
    case 'maxconn':
    case 'bind':
    case 'default_backend':
    case 'log-format':
      return true;
    case 'timeout':
      return first === 'client';
    case 'tcp-request':
      return first === 'inspect-delay';
    default:
      return false;
  }
};
