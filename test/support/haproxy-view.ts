// SPDX-License-Identifier: Apache-2.0
// What the HAProxy processes of a test's amphora VM run, by their own word.
import { connect } from 'node:net';
import type { AmphoraVm } from './amphora-vm.js';

export interface ServerView {
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly isDisabled: boolean;
}

export interface HaproxyView {
  readonly frontends: readonly string[];
  /** Servers by their name, by their backend's. */
  readonly backends: Readonly<Record<string, Readonly<Record<string, ServerView>>>>;
}

export interface HaproxyReading extends HaproxyView {
  /** `<backend>/<server>` that a check has found down. */
  readonly down: ReadonlySet<string>;
}

/** Of one load balancer, or null where nobody answers. */
export const readHaproxy = async (
  vm: AmphoraVm,
  loadBalancerId: string,
): Promise<HaproxyReading | null> => {
  const path = vm.path(`/var/lib/octavia/${loadBalancerId}.sock`);
  const [stat, state] = await Promise.all([
    ask(path, 'show stat'),
    ask(path, 'show servers state'),
  ]);
  if (stat === null || state === null) return null;
  const rows = tableOf(stat, ',', 0);
  const servers = tableOf(state, ' ', 1);
  const names = (kind: string): string[] =>
    rows
      .filter(({ svname }) => svname === kind)
      .map(({ pxname = '' }) => pxname)
      .sort();
  return {
    frontends: names('FRONTEND'),
    backends: Object.fromEntries(
      names('BACKEND').map((backend) => [
        backend,
        Object.fromEntries(servers.filter(({ be_name }) => be_name === backend).map(serverView)),
      ]),
    ),
    down: new Set(
      rows
        .filter(({ status = '' }) => status.startsWith('DOWN'))
        .map(({ pxname, svname }) => `${pxname ?? ''}/${svname ?? ''}`),
    ),
  };
};

const DISABLED_BITS = 0x01 | 0x04; // forced maintenance, and maintenance by the config

const serverView = (row: Readonly<Record<string, string>>): [string, ServerView] => [
  row['srv_name'] ?? '',
  {
    address: row['srv_addr'] ?? '',
    port: Number(row['srv_port']),
    weight: Number(row['srv_uweight']),
    isDisabled: (Number(row['srv_admin_state']) & DISABLED_BITS) !== 0,
  },
];

/** Rows of a table whose head stands in line `at`, behind a `# `. */
const tableOf = (text: string, separator: string, at: number): Record<string, string>[] => {
  const lines = text.split('\n').slice(at);
  const names = (lines[0] ?? '').replace(/^# /, '').split(separator);
  return lines
    .slice(1)
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const cells = line.split(separator);
      return Object.fromEntries(names.map((name, i) => [name, cells[i] ?? '']));
    });
};

const ask = async (path: string, question: string): Promise<string | null> => {
  const client = connect(path);
  client.setTimeout(5000, () => client.destroy());
  client.end(`${question}\n`);
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of client) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    return text === '' ? null : text;
  } catch {
    return null;
  }
};
