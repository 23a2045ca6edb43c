// SPDX-License-Identifier: Apache-2.0
// Questions to HAProxy's stats socket, and its answers as values.
import { connect } from 'node:net';

/** One command, the whole answer. Throws when the socket is not there or says nothing in time. */
export const askHaproxy = (socket: string, command: string, timeoutMs = 5000): Promise<string> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const connection = connect(socket);
    connection.setTimeout(timeoutMs, () => {
      connection.destroy(new Error(`no answer from ${socket} in ${timeoutMs} ms`));
    });
    connection.on('connect', () => connection.end(`${command}\n`));
    connection.on('data', (chunk: Buffer) => chunks.push(chunk));
    connection.on('error', reject);
    connection.on('end', () => {
      resolve(Buffer.concat(chunks).toString('utf8'));
    });
  });

/**
 * Servers that checks find dead, as `<backend>/<server>`, from `show servers state`: a quarter of the size of
 * `show stat`, which matters when 5,000 members are asked for several times a second. Fields from HAProxy's
 * management guide: the sixth, srv_op_state, is 0 when stopped; administrative states do not count here.
 */
export const parseDownServers = (text: string): string[] =>
  [...text.matchAll(/^\d+ (\S+) \d+ (\S+) \S+ 0 /gm)].map(
    ([, backend, server]) => `${backend ?? ''}/${server ?? ''}`,
  );

/** A row of `show stat`, by the names of its header. */
export type StatRow = Readonly<Record<string, string>>;

/** Rows of `show stat`. Types: 0 frontend, 1 backend, 2 server, 3 socket. */
export const parseStat = (text: string): StatRow[] => {
  const [header = '', ...lines] = text.split('\n').filter((line) => line !== '');
  const names = header.replace(/^# /, '').split(',');
  return lines.map((line) => {
    const values = splitCsv(line);
    return Object.fromEntries(names.map((name, i) => [name, values[i] ?? '']));
  });
};

/** A field of `show info`, such as `Pid`. */
export const infoField = (text: string, name: string): string | null =>
  new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? null;

const splitCsv = (line: string): string[] =>
  [...line.matchAll(/(?:"((?:[^"]|"")*)"|([^,]*))(?:,|$)/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  );
