// SPDX-License-Identifier: Apache-2.0
// Network namespaces and the cables between them.
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { run } from './run.js';

export class Namespace {
  readonly name: string;
  readonly path: string;

  private constructor(name: string) {
    this.name = name;
    this.path = `/run/netns/${name}`;
  }

  /** Loopback up; no IPv6 duplicate address detection, so that addresses work at once. */
  static async create(name: string): Promise<Namespace> {
    await run('ip', ['netns', 'add', name]);
    const namespace = new Namespace(name);
    await namespace.ip('link set lo up');
    await namespace.sysctl({
      'net.ipv6.conf.all.accept_dad': 0,
      'net.ipv6.conf.default.accept_dad': 0,
    });
    return namespace;
  }

  /** One that exists already. */
  static at(name: string): Namespace {
    return new Namespace(name);
  }

  exec(command: string, ...args: readonly string[]): Promise<string> {
    return run('nsenter', [`--net=${this.path}`, '--', command, ...args]);
  }

  spawn(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    return spawn('nsenter', [`--net=${this.path}`, '--', command, ...args], options);
  }

  /** iproute2 commands, one per line or argument, in one process. */
  async ip(...lines: readonly string[]): Promise<void> {
    await run('ip', ['-n', this.name, '-batch', '-'], { input: lines.join('\n') });
  }

  async sysctl(values: Readonly<Record<string, string | number>>): Promise<void> {
    const assignments = Object.entries(values).map(([name, value]) => `${name}=${value}`);
    await this.exec('sysctl', '-qw', ...assignments);
  }

  /** Counters of the kernel's stacks, for example `TcpRetransSegs`; absolute values. */
  async netstat(): Promise<ReadonlyMap<string, number>> {
    const text = await this.exec('nstat', '--zeros', '--json', '--ignore', '--noupdate');
    const parsed = JSON.parse(text) as { kernel: Record<string, number> };
    return new Map(Object.entries(parsed.kernel));
  }

  async remove(): Promise<void> {
    await run('ip', ['netns', 'delete', this.name]).catch(() => undefined);
  }
}

export interface CableEnd {
  readonly namespace: Namespace;
  readonly name: string;
  readonly mac?: string;
}

export interface CableOptions {
  readonly mtu?: number;
  /** Leave segmentation and checksum offload on, as senders behind tc may have it. */
  readonly offloads?: boolean;
}

/**
 * A veth pair, both ends up. Frames carry whole checksums unless `offloads`: native XDP sees what is
 * written. GRO is on at both ends: it makes the end poll (NAPI), and without that a frame redirected to
 * its peer by XDP is dropped.
 */
export const connect = async (
  a: CableEnd,
  b: CableEnd,
  options: CableOptions = {},
): Promise<void> => {
  const mtu = String(options.mtu ?? 1500);
  const macOf = (end: CableEnd) => (end.mac === undefined ? [] : ['address', end.mac]);
  await run('ip', [
    ...['-n', a.namespace.name, 'link', 'add', a.name, ...macOf(a), 'mtu', mtu],
    ...['type', 'veth', 'peer', 'name', b.name, ...macOf(b), 'mtu', mtu, 'netns', b.namespace.name],
  ]);
  for (const end of [a, b]) {
    if (options.offloads !== true) {
      await end.namespace.exec('ethtool', '-K', end.name, 'tx', 'off', 'tso', 'off', 'gso', 'off');
    }
    await end.namespace.exec('ethtool', '-K', end.name, 'gro', 'on');
    await end.namespace.ip(`link set ${end.name} up`);
  }
};

/** Removes namespaces `amp-<pid>-...` whose process has gone without doing so. */
export const removeStaleNamespaces = async (): Promise<void> => {
  const names = (await run('ip', ['netns', 'list'])).split('\n').map((line) => line.split(' ')[0]);
  for (const name of names) {
    const pid = /^amp-(\d+)-/.exec(name ?? '')?.[1];
    if (name !== undefined && pid !== undefined && !isAlive(Number(pid))) {
      await Namespace.at(name).remove();
    }
  }
};

/** False when no process has this number. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
