// SPDX-License-Identifier: Apache-2.0
// What `amphoractl explain` says of listeners: the JSON that programs read, and the table for people.
import { formatEndpoint } from '../model/address.js';
import type { Listener, Member, Pool } from '../model/load-balancer.js';

/** One listener as `explain --json` shows it. The shape is an interface: only add to it. */
export type Explanation = Pick<
  Listener,
  'id' | 'protocol' | 'vips' | 'engine' | 'reasons' | 'connectionLimit' | 'timeouts' | 'defaultPool'
> & {
  readonly pools: readonly (Pick<Pool, 'id' | 'protocol' | 'algorithm' | 'persistence'> & {
    readonly members: readonly Member[];
  })[];
};

/** An LVS listener shows the limit that its config gives each member, which is the operator's figure. */
export const explainListener = (listener: Listener): Explanation => ({
  id: listener.id,
  protocol: listener.protocol,
  vips: listener.vips,
  engine: listener.engine,
  reasons: listener.reasons,
  connectionLimit: listener.connectionLimit ?? memberLimit(listener),
  timeouts: listener.timeouts,
  defaultPool: listener.defaultPool,
  pools: listener.pools.map(({ id, protocol, algorithm, persistence, members }) => ({
    id,
    protocol,
    algorithm,
    persistence,
    members,
  })),
});

const memberLimit = ({ pools }: Listener): number | null =>
  pools.find((pool) => pool.memberConnectionLimit !== null)?.memberConnectionLimit ?? null;

/** Lines of a table: a listener per row, its further addresses and reasons below it. No newline at the end. */
export const renderExplanation = (listeners: readonly Listener[]): string => {
  if (listeners.length === 0) return 'no listeners';
  const rows = [
    ['LISTENER', 'PROTOCOL', 'ENGINE', 'ADDRESS', 'POOL', 'WHY'],
    ...listeners.flatMap(listenerRows),
  ];
  const widths = rows.reduce<number[]>(
    (all, row) => row.map((cell, i) => Math.max(all[i] ?? 0, cell.length)),
    [],
  );
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
};

const listenerRows = (listener: Listener): string[][] => {
  const { id, protocol, engine, vips, pools, reasons } = listener;
  const columns = [
    [id],
    [protocol],
    [engine],
    vips.length === 0 ? ['-'] : vips.map(formatEndpoint),
    pools.length === 0 ? ['-'] : pools.map(describePool),
    reasons.map(({ code, text }) => `${code}: ${text}`),
  ];
  const height = Math.max(...columns.map((column) => column.length));
  return Array.from({ length: height }, (_, i) => columns.map((column) => column[i] ?? ''));
};

const describePool = ({ algorithm, persistence, members, monitor }: Pool): string => {
  const sticky = persistence === null ? '' : `, sticky by ${persistence.type}`;
  const checked = monitor === null ? '' : `, ${monitor.type} monitor`;
  return `${algorithm} over ${members.length}${sticky}${checked}`;
};
