// SPDX-License-Identifier: Apache-2.0
// Runs packet tables in the namespace of this process and reports in TAP:
//   worker.ts DIRECTORY-OF-OBJECTS xdp|xdp-uncached|tc TABLE...
// It needs no test framework, so that it also runs inside a bare kernel's initramfs.
import { addon } from '../../native/index.js';
import type { Case } from './support/case.js';
import type { Hook } from './support/board-spec.js';
import { Switchboard } from './support/switchboard.js';
import { buildWorld } from './support/world.js';
import { tables, type TableName } from './tables/index.js';

/** The flow tables' per-CPU front changes which code a packet meets, so XDP runs with it and without. */
const SETUPS: Readonly<Record<string, { readonly hook: Hook; readonly cache: number }>> = {
  xdp: { hook: 'xdp', cache: 256 },
  'xdp-uncached': { hook: 'xdp', cache: 0 },
  tc: { hook: 'tc', cache: 256 },
};
const isTable = (text: string): text is TableName => text in tables;

const main = (): void => {
  const [directory = '', setup = '', ...names] = process.argv.slice(2);
  const chosen = SETUPS[setup];
  if (!chosen) throw new Error('usage: worker DIRECTORY xdp|xdp-uncached|tc TABLE...');
  const { hook, cache } = chosen;
  addon.setLog(null);
  buildWorld();
  const board = new Switchboard(hook, directory, { lines: { cache, recent: 1024 } });
  const wanted = names.length > 0 ? names : Object.keys(tables);
  const cases = wanted.flatMap((name): readonly Case[] => {
    if (!isTable(name)) throw new Error(`no table ${name}`);
    return tables[name];
  });
  const mine = cases.filter(({ hooks }) => hooks?.includes(hook) ?? true);
  console.log(`TAP version 14\n1..${mine.length}`);
  mine.forEach((row, i) => {
    report(i + 1, `${setup}: ${row.name}`, attempt(row, board));
  });
  board.close();
};

const attempt = (row: Case, board: Switchboard): string | null => {
  try {
    row.run(board);
    return null;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
};

const report = (number: number, name: string, failure: string | null): void => {
  const title = name.replaceAll('#', '\\#');
  if (failure === null) {
    console.log(`ok ${number} - ${title}`);
    return;
  }
  const lines = failure.split('\n').map((line) => `    ${line}`);
  console.log(`not ok ${number} - ${title}\n  ---\n  message: |\n${lines.join('\n')}\n  ...`);
  process.exitCode = 1;
};

main();
