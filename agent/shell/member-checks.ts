// SPDX-License-Identifier: Apache-2.0
// What HAProxy's last check of each member said, for people.
import type { CheckWords } from '../core/report/status.js';
import { askHaproxy, parseStat } from './haproxy-socket.js';

/** By `<pool>:<listener>/<member>`. A HAProxy that does not answer leaves its members out. */
export const readMemberChecks = async (sockets: readonly string[]): Promise<CheckWords> => {
  const words = new Map<string, string>();
  for (const socket of sockets) {
    const text = await askHaproxy(socket, 'show stat -1 4 -1').catch(() => '');
    for (const row of parseStat(text)) {
      const said = [row['status'], row['check_status'], row['last_chk']].filter(
        (word) => word !== undefined && word !== '',
      );
      words.set(`${row['pxname'] ?? ''}/${row['svname'] ?? ''}`, said.join(', '));
    }
  }
  return words;
};
