// SPDX-License-Identifier: Apache-2.0
// `log` lines: where a config wants its flows' lines, and whether the datapath can send them there.
import type { LogTarget } from '../log/log-target.js';
import type { Reason } from '../model/load-balancer.js';
import type { Line, Section } from './haproxy-lexer.js';
import { quoted } from './values.js';

export interface ConfigLog {
  /** Those that take lines of severity info. */
  readonly logTargets: readonly LogTarget[];
  /** Targets that only HAProxy can write to. */
  readonly obstacles: readonly Reason[];
}

/** What holds for proxies below `defaults` (contract 4.3.1, 4.3.2). */
export const readLog = (sections: readonly Section[]): ConfigLog => {
  const linesOf = (kind: string): Line[] =>
    sections.filter((section) => section.kind === kind).flatMap(({ body }) => body);
  const global = linesOf('global');
  const tag = global.findLast(({ words }) => words[0] === 'log-tag')?.words[1] ?? 'haproxy';
  const targets = linesInForce(linesOf('defaults'))
    .flatMap((line) => (line.words[1] === 'global' ? linesInForce(global) : [line]))
    .map((line) => readTarget(line, tag))
    .filter((target) => target !== 'quiet');
  return {
    logTargets: targets.filter((target): target is LogTarget => 'path' in target),
    obstacles: targets.filter((target): target is Reason => 'code' in target),
  };
};

/** `no log` takes back what stands above it. */
const linesInForce = (lines: readonly Line[]): readonly Line[] => {
  const end = lines.findLastIndex(({ words }) => words[0] === 'no' && words[1] === 'log');
  return lines.slice(end + 1).filter(({ words }) => words[0] === 'log');
};

const facilities = [
  ...['kern', 'user', 'mail', 'daemon', 'auth', 'syslog', 'lpr', 'news', 'uucp', 'cron', 'auth2'],
  ...['ftp', 'ntp', 'audit', 'alert', 'cron2'],
  ...['local0', 'local1', 'local2', 'local3', 'local4', 'local5', 'local6', 'local7'],
];
const levels = ['emerg', 'alert', 'crit', 'err', 'warning', 'notice', 'info', 'debug'];
const DEFAULT_LENGTH = 1024;

/** `log <address> [len <length>] <facility> [<level> [<least level>]]`; `quiet`: without severity info. */
const readTarget = ({ words }: Line, tag: string): LogTarget | Reason | 'quiet' => {
  const [, path = '', ...options] = words;
  const hasLength = options[0] === 'len';
  const length = hasLength ? Number(options[1]) : DEFAULT_LENGTH;
  const [facilityName = '', level = 'debug'] = hasLength ? options.slice(2) : options;
  const facility = facilities.indexOf(facilityName);
  if (levels.includes(level) && levels.indexOf(level) < levels.indexOf('info')) return 'quiet';
  const isKnown =
    path.startsWith('/') &&
    facility >= 0 &&
    levels.includes(level) &&
    length >= 80 &&
    length < 65536;
  return isKnown
    ? { path, facility, tag, length }
    : { code: 'log-target', text: `only HAProxy can log as ${quoted(words.join(' '))} wants` };
};
