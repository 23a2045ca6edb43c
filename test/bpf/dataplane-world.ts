// SPDX-License-Identifier: Apache-2.0
// A namespace with veth pairs, pin and state directories, and dataplanes over them.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { tableSizes } from '../../agent/core/plan/sizes.js';
import type { DatapathInterface } from '../../agent/core/model/dataplane.js';
import { KernelDataplane } from '../../agent/shell/dataplane.js';
import { layoutDirectory } from '../../agent/shell/dataplane-maps.js';
import { ensureBpffs } from '../../agent/shell/dataplane-bpffs.js';
import type { DataplaneLogger, DataplaneOptions } from '../../agent/shell/dataplane-options.js';
import { addon, type BpfMap } from '../../native/index.js';
import { networkInterface } from '../core/plan-fixtures.js';

export interface LogLine {
  readonly level: keyof DataplaneLogger;
  readonly fields: object;
  readonly message: string;
}

export interface World {
  readonly namespace: string;
  readonly netns: string;
  /** Namespace of the outer ends. */
  readonly outer: string;
  readonly pinDirectory: string;
  readonly stateDirectory: string;
  readonly log: LogLine[];
  /** A dataplane that is closed when the test ends. */
  dataplane(changes?: Partial<DataplaneOptions>): KernelDataplane;
  /** Adds a veth pair; the inner end is `name` in the namespace, the outer stays in another one. */
  plug(name: string, addresses: readonly string[], ifindex?: number): DatapathInterface;
  ip(...args: string[]): string;
  /** Runs a command in the amphora's namespace. */
  inside(command: string, ...args: string[]): string;
  /** Runs a command in the namespace of the outer ends, with `input` on its stdin; returns its stdout. */
  outside(input: string, command: string, ...args: string[]): string;
  /** The same, until the test ends. */
  serveOutside(command: string, ...args: string[]): void;
  /** Addresses of the outer end of an interface. */
  address(name: string, ...addresses: string[]): void;
  /** A pinned map of the dataplane, closed when the test ends. */
  map(name: string): BpfMap;
  /** Filters of an interface's clsact ingress. */
  tc(name: string): string;
}

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

let worlds = 0;

/** Needs root. Everything is gone when the test ends. */
export const makeWorld = async (t: Test): Promise<World> => {
  await ensureBpffs();
  const id = `ampdp-${process.pid}-${worlds++}`;
  const outer = `${id}-out`;
  const pinDirectory = `/sys/fs/bpf/${id}`;
  const stateDirectory = t.testdir();
  const open: KernelDataplane[] = [];
  const maps: BpfMap[] = [];
  const servers: ChildProcess[] = [];
  const log: LogLine[] = [];
  const logger: DataplaneLogger = {
    debug: (fields, message) => log.push({ level: 'debug', fields, message }),
    info: (fields, message) => log.push({ level: 'info', fields, message }),
    warn: (fields, message) => log.push({ level: 'warn', fields, message }),
    error: (fields, message) => log.push({ level: 'error', fields, message }),
  };
  for (const name of [id, outer]) run('ip', 'netns', 'add', name);
  const netns = `/var/run/netns/${id}`;
  t.teardown(() => {
    for (const server of servers) server.kill('SIGKILL');
    for (const map of maps) map.close();
    for (const dataplane of open) dataplane.close();
    rmSync(pinDirectory, { recursive: true, force: true });
    for (const name of [id, outer]) run('ip', 'netns', 'del', name);
  });
  mkdirSync(stateDirectory, { recursive: true });
  return {
    namespace: id,
    netns,
    outer,
    pinDirectory,
    stateDirectory,
    log,
    dataplane: (changes = {}) => {
      const sizes = tableSizes(2 ** 30, { flows: 4096, persistence: 1024 });
      const base = { pinDirectory, stateDirectory, netns, sizes, logger, sweepMs: 0 };
      const dataplane = new KernelDataplane({ ...base, ...changes });
      open.push(dataplane);
      return dataplane;
    },
    plug: (name, addresses, ifindex) => {
      const index = ifindex === undefined ? [] : ['index', String(ifindex)];
      run(
        'ip',
        '-n',
        id,
        'link',
        'add',
        name,
        ...index,
        'type',
        'veth',
        'peer',
        name,
        'netns',
        outer,
      );
      run('ip', '-n', id, 'link', 'set', name, 'up');
      run('ip', '-n', outer, 'link', 'set', name, 'up');
      for (const address of addresses)
        run('ip', '-n', id, 'addr', 'add', address, 'dev', name, 'nodad');
      return networkInterface(addon.ifindexByName(name, netns), addresses, { name, hook: 'xdp' });
    },
    ip: (...args) => run('ip', '-n', id, ...args),
    inside: (command, ...args) => run('ip', 'netns', 'exec', id, command, ...args),
    outside: (input, command, ...args) =>
      execFileSync('ip', ['netns', 'exec', outer, command, ...args], { encoding: 'utf8', input }),
    serveOutside: (command, ...args) => {
      servers.push(spawn('ip', ['netns', 'exec', outer, command, ...args], { stdio: 'ignore' }));
    },
    address: (name, ...addresses) => {
      for (const address of addresses)
        run('ip', '-n', outer, 'addr', 'add', address, 'dev', name, 'nodad');
    },
    map: (name) => {
      const map = addon.openPinnedMap(join(layoutDirectory(pinDirectory), name));
      maps.push(map);
      return map;
    },
    tc: (name) => run('tc', '-n', id, 'filter', 'show', 'dev', name, 'ingress'),
  };
};
