// SPDX-License-Identifier: Apache-2.0
// The files and sockets that a line names, wherever in it, and whether it may (contract P38).
import { ConfigRejected } from './config-rejected.js';
import type { Line } from './haproxy-lexer.js';
import { quoted } from './values.js';

export interface AllowedPaths {
  /** Folders below which a config may name files. */
  readonly folders: readonly string[];
  /** Single sockets and files that controllers name. */
  readonly files: readonly string[];
  /** Programs that `external-check command` may name. */
  readonly commands: readonly string[];
}

/** Throws ConfigRejected for a file or socket of HAProxy's that is not among the allowed. */
export const refuseFiles = (line: Line, allowed: AllowedPaths): void => {
  for (const path of namedFiles(line.words)) {
    if (path === '@system-ca' || isAllowedPath(path, allowed)) continue;
    throw new ConfigRejected(`a file outside of base_path: ${quoted(path)}`, line.number);
  }
};

export const isAllowedPath = (path: string, { folders, files }: AllowedPaths): boolean => {
  if (files.includes(path)) return true;
  if (path.split('/').includes('..')) return false;
  return folders.some((folder) => path.startsWith(`${folder.replace(/\/+$/, '')}/`));
};

/** Directives whose words are URLs, patterns and formats, where a slash is no path. */
const textDirectives = new Set([
  ...['acl', 'redirect', 'use_backend', 'use-server', 'http-check', 'tcp-check', 'option', 'stick'],
  ...['http-request', 'http-response', 'http-after-response', 'tcp-request', 'tcp-response'],
  ...[
    'log-format',
    'log-format-sd',
    'error-log-format',
    'unique-id-format',
    'monitor-uri',
    'cookie',
  ],
  ...['errorloc', 'errorloc302', 'errorloc303', 'balance', 'stats', 'description', 'log-tag'],
  ...[
    'capture',
    'declare',
    'compression',
    'http-error',
    'force-persist',
    'ignore-persist',
    'monitor',
  ],
]);

/** Words of rules after which the next one names a file. */
const ruleKeywords = new Set(['-f', 'file', 'lf-file', 'errorfile']);
/** The same on `bind`, `server` and in `global`; a relative path there starts at a place we do not know. */
const fileKeywords = new Set([
  ...[
    'crt',
    'crt-list',
    'ca-file',
    'crl-file',
    'ca-verify-file',
    'ca-sign-file',
    'tls-ticket-keys',
  ],
  ...['ca-base', 'crt-base', 'ssl-dh-param-file', 'server-state-file', 'server-state-base'],
  ...['server-state-file-name', 'h1-case-adjust-file', 'stats-file', '-f', 'load-file'],
]);

/** A path where an address is expected, and addresses that are neither IPv4 nor IPv6. */
const pathOrSocket = /(?:^|[@,=(])\/|^(?:unix|uxst|uxdg|abns|abnsz|fd|sockpair|ring|rhttp)@/;

const namedFiles = (words: Line['words']): string[] => {
  const [directive, ...args] = words;
  if (directive === 'errorfile') return args.slice(1, 2);
  const isConnect = directive.endsWith('-check') && args[0] === 'connect';
  if (!textDirectives.has(directive) || isConnect) {
    return words.filter(
      (word, i) => (i > 0 && pathOrSocket.test(word)) || fileKeywords.has(words[i - 1] ?? ''),
    );
  }
  // The value of an L7 rule may be any word: `acl <id> path -m str file`. It is the last one.
  const keywords = directive === 'acl' ? new Set(['-f']) : ruleKeywords;
  return [
    ...args.filter((_, i) => keywords.has(args[i - 1] ?? '')),
    ...expressions(directive, args).flatMap(functionFiles),
  ];
};

/** The words that HAProxy evaluates, so that a file's name may stand inside. */
const expressions = (directive: string, args: readonly string[]): readonly string[] => {
  if (directive === 'acl') return args.slice(1, 2);
  if (directive !== 'redirect' && !directive.includes('log-format')) return args;
  return args.filter((word) => word.includes('%['));
};

const mapFunction = /\b(?:map(?:_[a-z0-9_]+)?|(?:set|add|del)-(?:map|acl))\(([^,)]*)/g;
const keyFunction = /\bjwt_verify(?:_cert)?\([^,()]*,([^)]*)/g;

const functionFiles = (word: string): string[] =>
  [...word.matchAll(mapFunction), ...word.matchAll(keyFunction)].map(([, path = '']) => path);
