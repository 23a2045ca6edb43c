// SPDX-License-Identifier: Apache-2.0
// Lines of old controllers that HAProxy would refuse today (contract P37), said in today's words, and lines that a
// controller renders in another way each time (P13), said in one.
import type { Line, Section } from '../parse/haproxy-lexer.js';
import { haproxyWord } from './haproxy-word.js';

/** The line as uploaded, or what stands in its place: nothing, or other lines. */
export const currentLine = (line: Line, section: Section): readonly string[] => {
  const [directive, name, method, path, version] = line.words;
  // The group comes from the image; a controller's may not exist here.
  if (directive === 'group') return [];
  if (directive === 'http-check') return [sortedCodes(line)];
  if (directive !== 'option') return [line.raw];
  if (name === 'http-use-htx') return [];
  if (name !== 'httpchk' || method === undefined || path === undefined) return [line.raw];
  return version?.includes('\r\n') === true
    ? splitHeaders({ method, path, version }, hasSentHeaders(section))
    : [line.raw];
};

/** The codes of `http-check expect rstatus 204|200` come in any order: the same set must not be a change of HAProxy. */
const sortedCodes = ({ raw, words }: Line): string => {
  const [, verb, kind, codes = '', ...rest] = words;
  const isSet = verb === 'expect' && kind === 'rstatus' && /^\d{3}(\|\d{3})+$/.test(codes);
  if (!isSet || rest.length > 0) return raw;
  return `    http-check expect rstatus ${codes.split('|').sort().join('|')}`;
};

const hasSentHeaders = ({ body }: Section): boolean =>
  body.some(({ words }) => words[0] === 'http-check' && words[1] === 'send');

/**
 * `HTTP/1.1\r\nHost:\ www` hides a header in the version. HAProxy 2.6 warns, 3.0 refuses; both know
 * `http-check send`.
 */
const splitHeaders = (
  { method, path, version }: { method: string; path: string; version: string },
  isSent: boolean,
): readonly string[] => {
  const [number = '', ...headers] = version.split('\r\n').filter((part) => part !== '');
  const check = `    option httpchk ${haproxyWord(method)} ${haproxyWord(path)} ${haproxyWord(number)}`;
  if (isSent) return [check];
  return [
    check,
    ...headers.flatMap((header) => {
      const [, key, value] = /^([^:]+):[ \t]*(.*)$/.exec(header) ?? [];
      if (key === undefined || value === undefined) return [];
      return [`    http-check send hdr ${haproxyWord(key)} ${haproxyWord(value)}`];
    }),
  ];
};
