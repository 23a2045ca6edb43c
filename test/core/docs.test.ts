// SPDX-License-Identifier: Apache-2.0
// What the documents say of maps, counters, options and commands is what the code has.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { enums } from '../../agent/core/plan/layout.gen.js';
import { DIFFERENCES } from '../compat/differences.js';
import { OPERATIONS } from '../compat/operations.js';

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const all = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map((match) => match[1] ?? '');

t.test('the map table names every map, and no other', (t) => {
  const sources = ['bpf/maps.h', 'bpf/work.h', 'bpf/reply.h'].map(read).join('\n');
  const maps = [
    ...all(sources, /^MAP\((\w+),/gm),
    ...all(sources, /^\} (\w+) SEC\("\.maps"\)/gm),
  ].sort();
  const rows = read('docs/datapath.md')
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  const named = rows.flatMap((row) => all(row.split('|')[1] ?? '', /`(\w+)`/g)).sort();
  t.strictSame(named, maps);
  t.end();
});

t.test('every reason is listed in the words that amphoractl uses', (t) => {
  const text = read('docs/datapath.md');
  for (const name of Object.keys(enums.reason))
    if (name !== 'REASON_MAX')
      t.match(text, `\`${name.replace('REASON_', '').toLowerCase()}\``, name);
  t.end();
});

t.test('every option of ours is explained', (t) => {
  const options = all(read('agent/xdp-options.ts'), /section,\s*'([a-z_]+)'/g);
  const text = read('docs/operations.md');
  t.ok(options.length > 10);
  for (const option of options) t.match(text, `\`${option}`, option);
  t.end();
});

t.test('every make target of the README exists', (t) => {
  const targets = new Set(all(read('README.md'), /\bmake ([a-z-]+)/g));
  const makefile = read('Makefile');
  t.ok(targets.size >= 4);
  for (const target of targets) t.match(makefile, new RegExp(`^${target}:`, 'm'), target);
  t.end();
});

t.test('every amphoractl command of the documents exists', (t) => {
  const documents = ['README.md', 'docs/operations.md'].map(read).join('\n');
  const commands = new Set(all(documents, /amphoractl ([a-z]+)/g));
  const registry = read('agent/bin/amphoractl.ts');
  t.ok(commands.size >= 4);
  for (const command of commands) t.match(registry, command, command);
  t.end();
});

t.test('no document links to a file that is not there', (t) => {
  const files = execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' });
  for (const file of files.split('\n').filter((name) => name !== ''))
    for (const link of all(read(file), /\]\((?!https?:)([^)#]+)/g))
      t.ok(existsSync(join(root, file, '..', link)), `${file}: ${link}`);
  t.end();
});

t.test('each of the 67 pitfalls is held by tests that exist', (t) => {
  const rows = [...read('docs/pitfalls.md').matchAll(/^\| P(\d+) \|(.*)\|$/gm)];
  const numbers = rows.map(([, number = '']) => Number(number));
  t.strictSame(
    numbers,
    Array.from({ length: 67 }, (_, i) => i + 1),
  );
  for (const [, number = '', cells = ''] of rows) {
    const named = [...cells.matchAll(/`(test\/[\w./-]+)` "([^"]+)"/g)];
    t.ok(named.length > 0, `P${number} names a test`);
    for (const [, file = '', title = ''] of named) {
      const source = existsSync(join(root, file)) ? read(file) : '';
      const found = ["'", '"', '`'].some((quote) => source.includes(`${quote}${title}${quote}`));
      t.ok(found, `P${number}: ${file} "${title}"`);
    }
  }
  t.end();
});

t.test('every operation of the API has its row, and tests that exist', (t) => {
  const rows = new Map(
    read('docs/contract.md')
      .split('\n')
      .map((line) => line.split('|').map((cell) => cell.trim()))
      .filter(
        ([, number, operation]) => /^\d+$/.test(number ?? '') && /^`[A-Z]+ /.test(operation ?? ''),
      )
      .map(([, number, operation, , , tests]) => [Number(number), { operation, tests }]),
  );
  t.equal(rows.size, OPERATIONS.length);
  for (const [number, method, path] of OPERATIONS) {
    const row = rows.get(number);
    t.equal(row?.operation, `\`${method} ${path}\``);
    const tests = all(row?.tests ?? '', /`([^`]+)`/g);
    t.ok(tests.length > 0, `${path} is held by a test`);
    for (const test of tests) t.ok(existsSync(join(root, 'test', `${test}.test.ts`)), test);
  }
  t.end();
});

t.test('the differences from the stock agent are those of the test', (t) => {
  const shown = read('docs/contract.md').split('\n|---|---|---|---|\n')[1];
  const rows = DIFFERENCES.map(
    ({ where, stock, here, why }) => `| ${where} | ${stock} | ${here} | ${why} |\n`,
  );
  t.equal(shown, rows.join(''));
  t.end();
});
