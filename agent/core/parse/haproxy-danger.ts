// SPDX-License-Identifier: Apache-2.0
// What a config must not do to the amphora, whoever wrote it (contract P38).
import { ConfigRejected } from './config-rejected.js';
import type { Line, Section } from './haproxy-lexer.js';
import { quoted } from './values.js';

export interface AllowedPaths {
  /** Folders below which a config may name files. */
  readonly folders: readonly string[];
  /** Single files and sockets that controllers name. */
  readonly files: readonly string[];
  /** Programs that `external-check command` may name. */
  readonly commands: readonly string[];
}

/** Run code, change who HAProxy is, or what its children inherit. */
const refusedDirectives = new Set([
  ...[
    'insecure-setuid-wanted',
    'setenv',
    'presetenv',
    'resetenv',
    'unsetenv',
    'chroot',
    'uid',
    'gid',
  ],
  ...['ssl-engine', 'ssl-provider', 'filter', 'module-path', 'wurfl-data-file', 'default-path'],
  ...['unix-bind', 'pidfile', 'localpeer', 'mworker-prog-kill', 'ring', 'shm-stats-file'],
]);

/** Directives whose words are URLs, patterns and formats, where a slash is no path. */
const textDirectives = new Set([
  ...['acl', 'redirect', 'use_backend', 'use-server', 'http-check', 'log-format', 'log-format-sd'],
  ...['http-request', 'http-response', 'http-after-response', 'tcp-request', 'tcp-response'],
  ...[
    'monitor-uri',
    'error-log-format',
    'option',
    'stick',
    'unique-id-format',
    'stats',
    'tcp-check',
  ],
  ...['declare', 'errorloc', 'errorloc302', 'errorloc303', 'bind-process', 'dispatch', 'balance'],
]);

/** Words after which the next one names a file, wherever they stand. */
const fileKeywords = new Set([
  ...['-f', 'file', 'lf-file', 'errorfile', 'errorfiles', 'crt', 'crt-list', 'ca-file', 'crl-file'],
  ...[
    'ca-verify-file',
    'ca-sign-file',
    'tls-ticket-keys',
    'ca-base',
    'crt-base',
    'ssl-dh-param-file',
  ],
  ...['server-state-file', 'server-state-base', 'server-state-file-name'],
]);

/** Functions of expressions whose first argument is a file. */
const fileFunctions = /\b(?:map(?:_[a-z_0-9]+)?|(?:set|add|del)-(?:map|acl)|jwt_verify)\(/;
const otherSchemes = /(?:^|[@,=])(?:unix|uxst|uxdg|abns|abnsz|fd|sockpair|ring|rhttp)@/;
const holdsPath = /(?:^|[@(,=])\/[^)]*/;

/** Throws ConfigRejected at the first line that could harm the amphora. */
export const refuseDanger = (sections: readonly Section[], allowed: AllowedPaths): void => {
  for (const section of sections) {
    for (const line of section.body) refuseDangerousLine(section, line, allowed);
  }
};

const refuseDangerousLine = (section: Section, line: Line, allowed: AllowedPaths): void => {
  const [directive, ...args] = line.words;
  const reject = (reason: string): never => {
    throw new ConfigRejected(reason, line.number);
  };
  if (/^lua|^tune\.lua/.test(directive) || args.some(isLua(directive))) reject('Lua');
  if (refusedDirectives.has(directive)) reject(`directive "${directive}"`);
  if (directive === 'external-check' && args.length > 0) {
    refuseCommand(line, allowed);
    return;
  }
  if ((directive === 'user' || directive === 'group') && args[0] === 'root') reject('runs as root');
  if (section.kind === 'global' && directive === 'stats' && args[0] === 'socket') {
    refuseSocket(line, allowed);
    return;
  }
  refuseFiles(line, allowed);
  if (
    directive === 'http-request' &&
    args[0] === 'use-service' &&
    args[1] !== 'prometheus-exporter'
  ) {
    reject(`service ${quoted(args[1])}`);
  }
};

const isLua =
  (directive: string) =>
  (word: string, i: number, args: readonly string[]): boolean =>
    word.startsWith('lua.') &&
    (i === 0 || args[i - 1] === 'use-service' || args[i - 1] === 'content') &&
    directive !== 'log-format';

const refuseCommand = ({ words, number }: Line, { commands }: AllowedPaths): void => {
  const [, what, command] = words;
  if (what === 'command' && command !== undefined && commands.includes(command)) return;
  throw new ConfigRejected(`external-check ${quoted(what)} ${quoted(command)}`, number);
};

/** The stats socket is the agent's own: a local one, without the right to change anything by itself. */
const refuseSocket = ({ words, number }: Line, allowed: AllowedPaths): void => {
  const path = words[2] ?? '';
  if (!isAllowed(path, allowed)) {
    throw new ConfigRejected(
      `stats socket outside the load balancer's folder: ${quoted(path)}`,
      number,
    );
  }
};

const refuseFiles = ({ words, number }: Line, allowed: AllowedPaths): void => {
  const [directive] = words;
  const isText = textDirectives.has(directive);
  for (const [i, word] of words.entries()) {
    const isFile = fileKeywords.has(words[i - 1] ?? '') && !isPattern(words, i);
    const isPath = !isText && i > 0 && (holdsPath.test(word) || otherSchemes.test(word));
    if ((isFile && !isSystemCa(word)) || isPath) {
      if (!isAllowed(word, allowed)) {
        throw new ConfigRejected(`a file outside the allowed folders: ${quoted(word)}`, number);
      }
    }
    if (isText && fileFunctions.test(word) && !/\(\/?[^/,)]*[,)]?/.test(word)) continue;
    if (isText) refuseFunctionFiles(word, number, allowed);
  }
};

/** The value of an L7 rule may be any word: `acl <id> path -m str file`. Only `-f` takes a file there. */
const isPattern = (words: Line['words'], i: number): boolean =>
  words[0] === 'acl' && words[i - 1] !== '-f';

const isSystemCa = (word: string): boolean => word === '@system-ca';

const refuseFunctionFiles = (word: string, line: number, allowed: AllowedPaths): void => {
  for (const [, path = ''] of word.matchAll(new RegExp(`${fileFunctions.source}([^,)]*)`, 'g'))) {
    if (!isAllowed(path, allowed)) {
      throw new ConfigRejected(`a file outside the allowed folders: ${quoted(path)}`, line);
    }
  }
};

const isAllowed = (path: string, { folders, files }: AllowedPaths): boolean => {
  if (files.includes(path)) return true;
  if (path.split('/').includes('..')) return false;
  return folders.some((folder) => path.startsWith(`${folder.replace(/\/+$/, '')}/`));
};
