// SPDX-License-Identifier: Apache-2.0
// What a config must not do to the amphora, whoever wrote it (contract P38).
import { ConfigRejected } from './config-rejected.js';
import { refuseFiles, isAllowedPath, type AllowedPaths } from './haproxy-files.js';
import type { Line, Section } from './haproxy-lexer.js';
import { quoted } from './values.js';

/** Throws ConfigRejected at the first line that could run code, or read or write what is not its own. */
export const refuseDanger = (sections: readonly Section[], allowed: AllowedPaths): void => {
  for (const section of sections) {
    for (const line of section.body) refuseLine(line, section.kind === 'global', allowed);
  }
};

/** They run code, change who HAProxy is or where it looks for files, or what its children inherit. */
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
  ...['ssl-engine', 'ssl-provider', 'module-path', 'default-path', 'unix-bind', 'pidfile', 'ring'],
  ...['localpeer', 'program', 'command', 'shm-stats-file', 'parse-resolv-conf'],
]);

const refuseLine = (line: Line, isGlobal: boolean, allowed: AllowedPaths): void => {
  const [directive, ...args] = line.words;
  const [first, second] = args;
  const reject = (reason: string): never => {
    throw new ConfigRejected(reason, line.number);
  };
  if (isLua(line.words)) reject(`Lua in ${quoted(directive)}`);
  if (refusedDirectives.has(directive)) reject(`directive "${directive}"`);
  if (directive === 'filter' && /^(?:spoe|opentracing|otel)/.test(first ?? '')) {
    reject(`filter ${quoted(first)}`);
  }
  if (isGlobal && /^(?:user|group)$/.test(directive) && first === 'root') reject('runs as root');
  if (directive === 'external-check' && first !== undefined) {
    const isCommand = first === 'command' && second !== undefined && args.length === 2;
    if (!isCommand || !allowed.commands.includes(second)) {
      reject(`external-check ${quoted(args.join(' '))}`);
    }
    return;
  }
  if (directive === 'stats' && first === 'socket' && !isAllowedPath(second ?? '', allowed)) {
    reject(`a stats socket outside of base_path: ${quoted(second)}`);
  }
  const service = args[args.indexOf('use-service') + 1];
  if (args.includes('use-service') && service !== 'prometheus-exporter') {
    reject(`service ${quoted(service)}`);
  }
  refuseFiles(line, allowed);
};

/** The functions that Lua scripts register are called lua.<name>, as an action or in an expression. */
const isLua = ([directive, ...args]: Line['words']): boolean => {
  if (/^(?:lua-|tune\.lua)/.test(directive)) return true;
  if (directive === 'acl') return args[1]?.startsWith('lua.') ?? false;
  const isAction =
    /^(?:http|tcp)-/.test(directive) && args.slice(0, 2).some((a) => a.startsWith('lua.'));
  return isAction || args.some((word) => /[[,]lua\./.test(word) && word.includes('%['));
};
