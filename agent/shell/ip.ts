// SPDX-License-Identifier: Apache-2.0
// iproute2 as a function: JSON out, batches in. `netns` is a path, or null for the agent's own namespace.
import type { KernelAddress, KernelRoute, KernelRule } from '../core/network/interface-diff.js';
import { CommandFailed, run } from './run.js';

export type Netns = string | null;

export interface Link {
  readonly name: string;
  readonly ifindex: number;
  readonly mac: string;
  readonly mtu: number;
  readonly isUp: boolean;
  readonly type: string;
  /** Kind of a virtual device, such as `veth`; null for hardware. */
  readonly kind: string | null;
  readonly addresses: readonly KernelAddress[];
}

/** All links with their addresses, in one call. */
export const readLinks = async (netns: Netns): Promise<Link[]> =>
  (await ipJson(netns, ['-details', 'addr', 'show'])).map((link) => ({
    name: text(link['ifname']),
    ifindex: Number(link['ifindex']),
    mac: text(link['address']).toLowerCase(),
    mtu: Number(link['mtu']),
    isUp: list(link['flags']).includes('UP'),
    type: text(link['link_type']),
    kind:
      record(link['linkinfo'])['info_kind'] === undefined
        ? null
        : text(record(link['linkinfo'])['info_kind']),
    addresses: list(link['addr_info']).map(record).filter(hasLocal).map(addressOf),
  }));

export const readRoutes = async (netns: Netns, device?: string): Promise<KernelRoute[]> => {
  const of = device === undefined ? [] : ['dev', device];
  const read = async (family: 4 | 6): Promise<KernelRoute[]> =>
    (await ipJson(netns, [`-${family}`, 'route', 'show', 'table', 'all', ...of])).map((route) => ({
      dst: text(route['dst']),
      gateway: optional(route['gateway']),
      prefsrc: optional(route['prefsrc']),
      table: optional(route['table']) ?? 'main',
      protocol: text(route['protocol']),
      family,
      device: optional(route['dev']) ?? device ?? '',
    }));
  return [...(await read(4)), ...(await read(6))];
};

export const readRules = async (netns: Netns): Promise<KernelRule[]> => {
  const read = async (family: 4 | 6): Promise<KernelRule[]> =>
    (await ipJson(netns, [`-${family}`, 'rule', 'show'])).map((rule) => ({
      src: text(rule['src']),
      srcLength: rule['srclen'] === undefined ? null : Number(rule['srclen']),
      table: text(rule['table']),
      priority: Number(rule['priority']),
      protocol: optional(rule['protocol']) ?? 'kernel',
      family,
    }));
  return [...(await read(4)), ...(await read(6))];
};

/** Array that `ip -json` prints; empty where it prints nothing. */
export const ipJson = async (
  netns: Netns,
  args: readonly string[],
): Promise<Record<string, unknown>[]> => {
  const { stdout } = await run('ip', ['-json', ...args], netns === null ? {} : { netns });
  if (stdout.trim() === '') return [];
  return (JSON.parse(stdout) as unknown[]).map(record);
};

/** A line of a batch that failed, and the kernel's word for it. */
export interface BatchError {
  readonly line: string;
  readonly error: string;
}

/**
 * Runs every line, also after one that failed. What exists already is no failure. A line may begin with -4
 * or -6, which iproute2 itself takes on its command line only: such lines run after the others, by family.
 */
export const ipBatch = async (netns: Netns, lines: readonly string[]): Promise<BatchError[]> => {
  const errors: BatchError[] = [];
  for (const family of ['', '-4', '-6']) {
    const own = lines.filter((line) => (/^-[46](?= )/.exec(line)?.[0] ?? '') === family);
    errors.push(...(await runBatch(netns, family, own)));
  }
  return errors;
};

const runBatch = async (
  netns: Netns,
  family: string,
  lines: readonly string[],
): Promise<BatchError[]> => {
  if (lines.length === 0) return [];
  const input = lines.map((line) => `${line.slice(family.length).trim()}\n`).join('');
  const args = [...(family === '' ? [] : [family]), '-force', '-batch', '-'];
  try {
    await run('ip', args, { input, ...(netns === null ? {} : { netns }) });
    return [];
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    const errors = batchErrors(lines, error.output);
    if (errors === null) throw error;
    return errors.filter((one) => !/File exists|already assigned/.test(one.error));
  }
};

const batchErrors = (lines: readonly string[], output: string): BatchError[] | null => {
  const errors: BatchError[] = [];
  let words: string[] = [];
  for (const line of output.split('\n')) {
    const failed = /^Command failed -:(\d+)/.exec(line)?.[1];
    if (failed === undefined) {
      words.push(line.trim());
      continue;
    }
    errors.push({ line: lines[Number(failed) - 1] ?? '', error: words.join(' ').trim() });
    words = [];
  }
  return errors.length > 0 ? errors : null;
};

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : '';
const optional = (value: unknown): string | null => (value === undefined ? null : text(value));
const hasLocal = (address: Record<string, unknown>): boolean => address['local'] !== undefined;

const addressOf = (address: Record<string, unknown>): KernelAddress => ({
  local: text(address['local']),
  prefixlen: Number(address['prefixlen']),
  scope: text(address['scope']),
  dynamic: address['dynamic'] === true,
  tentative: address['tentative'] === true && address['dadfailed'] !== true,
  duplicate: address['dadfailed'] === true,
});
