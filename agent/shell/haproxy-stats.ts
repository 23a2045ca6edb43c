// SPDX-License-Identifier: Apache-2.0
// What the running HAProxy processes count and find: frontends' totals, servers' health.
import type { Totals } from '../core/report/deltas.js';
import { askHaproxy, infoField, parseStat, type StatRow } from './haproxy-socket.js';

/** `worker` is the process that counts, `open` the connections now. */
export interface FrontendStats extends Totals {
  readonly worker: string;
  readonly open: number;
}

export interface HaproxyStats {
  /** By frontend, which is the listener's id. */
  readonly frontends: ReadonlyMap<string, FrontendStats>;
  /** HAProxy's word for a server's state, by `<pool>:<listener>/<member>`. */
  readonly words: ReadonlyMap<string, string>;
}

/** Asks each socket once. A HAProxy that does not answer leaves its rows out. */
export const readHaproxyStats = async (sockets: readonly string[]): Promise<HaproxyStats> => {
  const answers = await Promise.all(
    sockets.map((socket) => askHaproxy(socket, 'show info;show stat', 2000).catch(() => '')),
  );
  const frontends: [string, FrontendStats][] = [];
  const words: [string, string][] = [];
  for (const answer of answers) {
    const worker = infoField(answer, 'Pid') ?? '';
    const table = answer.slice(Math.max(0, answer.indexOf('# pxname')));
    for (const row of parseStat(table)) {
      const { pxname = '', svname = '', type, status = '' } = row;
      if (type === FRONTEND) frontends.push([pxname, { ...totalsOf(row), worker }]);
      if (type === SERVER) words.push([`${pxname}/${svname}`, status]);
    }
  }
  return { frontends: new Map(frontends), words: new Map(words) };
};

const FRONTEND = '0';
const SERVER = '2';

const totalsOf = (row: StatRow): Totals & { open: number } => ({
  bin: count(row['bin']),
  bout: count(row['bout']),
  ereq: count(row['ereq']),
  stot: count(row['stot']),
  open: count(row['scur']),
});

/** Empty where a field means nothing. */
const count = (text = ''): number => (/^\d+$/.test(text) ? Number(text) : 0);
