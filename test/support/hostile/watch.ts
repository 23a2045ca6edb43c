// SPDX-License-Identifier: Apache-2.0
// What the agent did to its VM: files that it wrote, programs that it ran, words that it logged.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { AmphoraVm } from '../amphora-vm.js';
import { MARK } from './lines.js';

/** Directories of the VM whose changes can be told, beside /run, which begins empty. */
export const OVERLAYS = ['root', 'home', 'opt', 'srv', 'tmp'];

/** The two base directories, and what the contract names beside them. */
const OWN_FILES = [
  /^\/var\/lib\/octavia\//,
  /^\/etc\/octavia\/(interfaces\/[\w.]+\.json|amphora-agent\.conf|certs\/(server|client_ca)\.pem)$/,
  /^\/run\/(amphora-xdp\/|netns\/amphora-haproxy$|rsyslog\/octavia\/log$|exec\.log$|vrrp\.pid$)/,
  /\/\.tap\/processinfo\//, // the test runner's, of each node program below it
];

/** Every file in the VM that was written since it booted, and is none of the agent's. */
export const strayFiles = (vm: AmphoraVm): string[] => {
  const written = ['etc', 'var', 'usr', ...OVERLAYS].flatMap((directory) =>
    filesBelow(vm.path(`/mnt/${directory}/upper`)).map((file) => `/${directory}/${file}`),
  );
  const inRun = filesBelow(vm.path('/run')).map((file) => `/run/${file}`);
  return [...written, ...inRun].filter((file) => !OWN_FILES.some((own) => own.test(file)));
};

const filesBelow = (directory: string): string[] => {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(join(directory, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else found.push(path);
    }
  };
  walk('');
  return found;
};

const SHELLS = new Set(['sh', 'bash', 'dash', 'busybox', 'zsh', 'env', 'xargs', 'python3', 'perl']);
/** Our own scripts, with arguments that are addresses and numbers. */
const SCRIPTS =
  /^"(?:\/bin\/bash|bash)", "(?:\/var\/lib\/octavia\/(?:ping-wrapper\.sh|vrrp\/(?:check_script\.sh|check_scripts\/\w+\.sh))|\/run\/amphora-xdp\/checks\/(?:udp|sctp))"(?:, "[\w.:]*")*$/;

/** Command lines that hold something of a config, and shells that run anything but our own scripts. */
export const strayPrograms = (log: string): string[] =>
  log.split('\n').filter((line) => {
    const [, program = '', words = ''] = /execve\("([^"]*)", \[(.*?)\], /.exec(line) ?? [];
    if (program === '') return line.includes(MARK);
    if (line.includes(MARK)) return true;
    return SHELLS.has(basename(program)) && !SCRIPTS.test(words);
  });

/** What is in force and must stay so after a refusal, as one word for each file. */
export const stateOf = (vm: AmphoraVm): ReadonlyMap<string, string> => {
  const state = new Map<string, string>();
  for (const directory of ['/var/lib/octavia', '/etc/octavia']) {
    for (const file of filesBelow(vm.path(directory))) {
      const path = `${directory}/${file}`;
      if (IN_MOTION.test(path)) continue;
      const real = vm.path(path);
      if (existsSync(real) && statSync(real).isFile()) {
        state.set(path, createHash('md5').update(readFileSync(real)).digest('hex'));
      }
    }
  }
  return state;
};

/** The check script that every LVS upload brings, counters, sockets, what HAProxy and keepalived write, and the config that was refused. */
const IN_MOTION =
  /\/(stats_counters\.json|servers-state|[^/]+\.(sock|pid|tmp|new|new-failed|reloading))$|amphora-xdp\/(?!committed|firewall)|\/lvs\/check\//;

/** Names of the files that differ. */
export const differences = (
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): string[] =>
  [...new Set([...before.keys(), ...after.keys()])].filter(
    (path) => before.get(path) !== after.get(path),
  );

/** Resident bytes. */
export const residentBytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;

/** Lines of PEM bodies and keys of heartbeats: none of them may be in any log. */
export const leakedSecrets = (texts: readonly string[], secrets: readonly string[]): string[] =>
  secrets.filter((secret) => texts.some((text) => text.includes(secret)));
