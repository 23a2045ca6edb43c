// SPDX-License-Identifier: Apache-2.0
// The health check of a backend (contract 4.3.8): the check lines and its servers' options together.
import type { Monitor } from '../model/load-balancer.js';
import type { Line } from './haproxy-lexer.js';
import type { ServerCheck } from './haproxy-server.js';
import { readTimeMs } from './values.js';

/** Null without a checked server. `id` is null: the HAProxy grammar does not carry it. */
export const readMonitor = (
  lines: readonly Line[],
  checks: readonly (ServerCheck | null)[],
): Monitor | null => {
  const check = checks.find((one) => one !== null) ?? null;
  if (check === null) return null;
  const option = (name: string): Line | undefined =>
    lines.findLast(({ words }) => words[0] === 'option' && words[1] === name);
  const common = {
    id: null,
    intervalSeconds: check.intervalMs / 1000,
    timeoutSeconds: timeoutMs(lines, check) / 1000,
    fall: check.fall,
    rise: check.rise,
  };
  const http = option('httpchk');
  if (http !== undefined) {
    return { ...common, type: check.tls ? 'HTTPS' : 'HTTP', ...readHttp(http, lines) };
  }
  if (option('external-check') !== undefined) return { ...common, type: 'PING' };
  if (option('ssl-hello-chk') !== undefined || check.tls) return { ...common, type: 'TLS-HELLO' };
  return { ...common, type: 'TCP' };
};

/** Without `timeout check` HAProxy waits as long as the interval. */
const timeoutMs = (lines: readonly Line[], check: ServerCheck): number => {
  const line = lines.findLast(({ words }) => words[0] === 'timeout' && words[1] === 'check');
  if (line === undefined) return check.intervalMs;
  return readTimeMs(line.words[2], { what: 'timeout check', line: line.number });
};

type HttpFields = Pick<
  Monitor,
  'httpMethod' | 'httpPath' | 'httpVersion' | 'httpHost' | 'expectedCodes'
>;

/** `option httpchk [[<method>] <uri> [<version>]]`; old controllers hide the Host header in the version. */
const readHttp = (option: Line, lines: readonly Line[]): HttpFields => {
  const args = option.words.slice(2);
  const [method, path, version] = args.length < 2 ? ['OPTIONS', args[0] ?? '/'] : args;
  const hidden = /\r\nHost: (.*)$/s.exec(version ?? '')?.[1]?.trim();
  const host = sentHost(lines) ?? hidden;
  const httpVersion = /^HTTP\/(\d\.\d)/.exec(version ?? '')?.[1] ?? '1.0';
  const expectedCodes = readCodes(lines);
  return {
    ...(method === undefined ? {} : { httpMethod: method }),
    ...(path === undefined ? {} : { httpPath: path }),
    httpVersion,
    ...(host === undefined ? {} : { httpHost: host }),
    ...(expectedCodes.length === 0 ? {} : { expectedCodes }),
  };
};

/** `http-check send hdr Host <name>` */
const sentHost = (lines: readonly Line[]): string | undefined => {
  const words = lines.find(({ words }) => words[0] === 'http-check' && words[1] === 'send')?.words;
  const at = words?.findIndex((word, i) => word === 'hdr' && /^host$/i.test(words[i + 1] ?? ''));
  return at === undefined || at < 0 ? undefined : words?.[at + 2];
};

/** The codes of `http-check expect rstatus 200|201`, sorted: the controller's order is arbitrary. */
const readCodes = (lines: readonly Line[]): number[] => {
  const line = lines.find(({ words }) => words[0] === 'http-check' && words[1] === 'expect');
  const codes = /^(?:r?status)$/.test(line?.words[2] ?? '') ? (line?.words[3] ?? '') : '';
  return codes
    .split('|')
    .filter((code) => /^\d{3}$/.test(code))
    .map(Number)
    .sort((a, b) => a - b);
};
