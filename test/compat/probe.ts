// SPDX-License-Identifier: Apache-2.0
// What an operation left behind in an amphora's VM, in one line of text per question.
import { lstatSync, readFileSync } from 'node:fs';
import type { AmphoraVm } from '../support/amphora-vm.js';

/**
 * The answer to a key:
 * `mode PATH` and `text PATH` of a file or directory, `unit NAME`, `processes PATTERN` (how many command lines
 * match), `link MAC` (its name, in the namespace of the listeners), `addresses IF`, `routes IF TABLE`,
 * `routes6 IF TABLE`, `rules`.
 * Null: there is no such thing.
 */
export const probe = async (vm: AmphoraVm, key: string): Promise<string | null> => {
  const at = key.indexOf(' ');
  const kind = at < 0 ? key : key.slice(0, at);
  const ask = PROBES[kind];
  if (!ask) throw new Error(`no such probe: ${key}`);
  return ask(vm, key.slice(at + 1));
};

const modeOf = (path: string): string | null => {
  try {
    const stat = lstatSync(path);
    const mode = (stat.mode & 0o7777).toString(8).padStart(4, '0');
    return stat.isDirectory() ? `${mode} directory` : mode;
  } catch {
    return null;
  }
};

const PROBES: Readonly<
  Record<string, (vm: AmphoraVm, rest: string) => Promise<string | null> | string | null>
> = {
  mode: (vm, path) => modeOf(vm.path(path)),
  text: (vm, path) => (modeOf(vm.path(path)) === null ? null : readFileSync(vm.path(path), 'utf8')),
  unit: async (vm, name) => {
    const file = `${name}.service`;
    if (modeOf(vm.path(`/usr/lib/systemd/system/${file}`)) === null) return null;
    const link = vm.path(`/etc/systemd/system/multi-user.target.wants/${file}`);
    const isActive = await vm.exec('systemctl', 'is-active', file).then(
      () => true,
      () => false,
    );
    return `${modeOf(link) === null ? 'disabled' : 'enabled'}, ${isActive ? 'active' : 'inactive'}`;
  },
  processes: async (vm, pattern) =>
    // The shell's own line must not match, so pgrep's pattern comes by its input's way.
    (
      await vm.exec('sh', '-c', 'pgrep -fc -- "$0" || true', `[${pattern[0]}]${pattern.slice(1)}`)
    ).trim(),
  link: async (vm, mac) => {
    const lines = (await tenant(vm, '-o', 'link')).split('\n');
    const line = lines.find((text) => text.includes(`link/ether ${mac}`));
    return line === undefined ? null : (/^\d+: ([^@:]+)/.exec(line)?.[1] ?? null);
  },
  addresses: async (vm, name) =>
    sorted(await tenant(vm, '-o', 'address', 'show', 'dev', name), /inet6? (\S+)/),
  routes: (vm, rest) => routes(vm, '-4', rest),
  routes6: (vm, rest) => routes(vm, '-6', rest),
  // Who put a rule there means nothing.
  rules: async (vm) =>
    sorted(
      `${await tenant(vm, '-4', 'rule')}\n${await tenant(vm, '-6', 'rule')}`,
      /(from (?!all)\S+ lookup \S+)/,
    ),
};

const routes = async (vm: AmphoraVm, family: string, rest: string): Promise<string> => {
  const [name = '', table = 'main'] = rest.split(' ');
  return sorted(
    await tenant(vm, family, 'route', 'show', 'dev', name, 'table', table),
    /^(.*?) *$/,
  );
};

const tenant = (vm: AmphoraVm, ...args: readonly string[]): Promise<string> =>
  vm.execTenant('ip', ...args).catch(() => '');

const sorted = (text: string, pattern: RegExp): string =>
  text
    .split('\n')
    .flatMap((line) => pattern.exec(line)?.[1] ?? [])
    .filter((word) => word !== '' && !word.startsWith('fe80:'))
    .sort()
    .join(', ');
