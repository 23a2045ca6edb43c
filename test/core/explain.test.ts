// SPDX-License-Identifier: Apache-2.0
// `amphoractl explain` over every recorded upload, against the load balancer that it was rendered from.
import { join } from 'node:path';
import t from 'tap';
import { explain } from '../../agent/bin/explain.js';
import { runCommand } from '../../agent/bin/run-command.js';
import { readCases, type Case, type Upload } from './controller-cases.js';
import { byId, expectedListener, haproxyListeners } from './expected-explanation.js';

interface Explained {
  readonly listeners: readonly {
    readonly id: string;
    readonly engine: string;
    readonly reasons: readonly { readonly code: string; readonly text: string }[];
    readonly pools: readonly { readonly id: string }[];
  }[];
}

/** Reasons are for people: they are looked at by themselves. */
const comparable = (listener: Explained['listeners'][number]) => ({
  ...listener,
  reasons: null,
  pools: [...listener.pools].sort(byId),
});

const run = async (
  args: readonly string[],
): Promise<{ status: number; lines: string[]; errors: string[] }> => {
  const lines: string[] = [];
  const errors: string[] = [];
  const status = await explain.run(args, {
    line: (text) => lines.push(text),
    error: (text) => errors.push(text),
  });
  return { status, lines, errors };
};

/** What `explain --json` must say of an upload, worked out from the model alone. */
const expectedListeners = ({ model }: Case, upload: Upload): unknown[] =>
  (upload.grammar === 'lvs'
    ? model.listeners.filter(({ id }) => id === upload.objectId)
    : haproxyListeners(model)
  )
    .map((listener) => expectedListener(listener, model))
    .sort(byId);

const cases = readCases();

t.test(
  'the table covers every config of the fixtures, and three controller versions',
  async (t) => {
    const uploads = cases.flatMap((one) => one.uploads);
    t.strictSame([...new Set(uploads.map(({ octavia }) => octavia))].sort(), [
      '11.0.0',
      '16.0.0',
      'master',
    ]);
    t.equal(uploads.length, 138);
    t.equal(new Set(uploads.map(({ path }) => path)).size, 64);
  },
);

for (const one of cases) {
  for (const upload of one.uploads) {
    const title = `${one.name}, Octavia ${upload.octavia}, ${upload.grammar} ${upload.objectId}`;
    t.test(`explain --json agrees with the model of ${title}`, async (t) => {
      const { status, lines, errors } = await run(['--json', upload.path]);
      t.strictSame([status, errors, lines.length], [0, [], 1]);
      const { listeners } = JSON.parse(lines[0] ?? '') as Explained;
      const seen = listeners.map(comparable);
      t.strictSame(seen.sort(byId), expectedListeners(one, upload));
      for (const { engine, reasons } of listeners) {
        t.equal(reasons[0]?.code === 'l4', engine === 'datapath', 'says why');
        t.ok(reasons.every(({ code, text }) => /^[a-z0-9-]+$/.test(code) && text.length > 10));
      }
    });
  }
}

const frontend = (lines: string): string =>
  `global\n    daemon\ndefaults\n    log global\nfrontend f\n    bind 10.0.0.1:80\n${lines}\n`;

t.test(
  'a refused file is named with its line, and the others are explained all the same',
  async (t) => {
    const folder = t.testdir({
      'bad.cfg': frontend('    mode tcp\n    maxconn many'),
      'good.cfg': frontend('    mode tcp'),
      'vrrp.conf': 'vrrp_script check_script {\n}\n',
    });
    const files = ['bad.cfg', 'good.cfg', 'vrrp.conf', 'none.cfg'].map((file) =>
      join(folder, file),
    );
    const { status, lines, errors } = await run(['--json', ...files]);
    t.equal(status, 1);
    t.strictSame(
      (JSON.parse(lines[0] ?? '') as Explained).listeners.map(({ id }) => id),
      ['f'],
    );
    t.strictSame(errors.slice(0, 2), [
      `${files[0] ?? ''}:8: maxconn is not a number from 0 to 2147483647: "many"`,
      `${files[2] ?? ''}:1: neither a HAProxy nor a keepalived LVS config`,
    ]);
    t.match(errors[2], /none\.cfg: ENOENT/);
  },
);

t.test('people get a table: a row per listener, further addresses and reasons below', async (t) => {
  const folder = t.testdir({
    'one.cfg': frontend('    bind 2001:db8::1:80\n    mode http'),
    'two.cfg': 'global\n    daemon\n',
  });
  const one = join(folder, 'one.cfg');
  const two = join(folder, 'two.cfg');
  t.strictSame(await run([one, two]), {
    status: 0,
    errors: [],
    lines: [
      `${one}:`,
      [
        'LISTENER  PROTOCOL  ENGINE   ADDRESS           POOL  WHY',
        'f         HTTP      haproxy  10.0.0.1:80       -     http-mode: HTTP is balanced request by request',
        '                             [2001:db8::1]:80',
      ].join('\n'),
      '',
      `${two}:`,
      'no listeners',
    ],
  });
});

t.test('the table tells how a pool chooses, sticks and is checked', async (t) => {
  const files = ['a37-udp-hm-persist', 'a14-connection-limit'].flatMap((name) =>
    cases.filter((one) => one.name === name).flatMap(({ uploads }) => uploads.slice(0, 1)),
  );
  const { lines } = await run(files.map(({ path }) => path));
  t.match(lines.join('\n'), /ROUND_ROBIN over 3, sticky by SOURCE_IP, UDP-CONNECT monitor {2}l4: /);
  t.match(lines.join('\n'), /ROUND_ROBIN over 2 {2}/);
});

t.test('the limit that LVS gives each member is shown as the operator’s', async (t) => {
  const [upload] = cases.find(({ name }) => name === 'a36-udp')?.uploads ?? [];
  const text = upload?.text.replaceAll('weight 1', 'weight 1\n        uthreshold 9') ?? '';
  const file = join(t.testdir({ 'a.conf': text }), 'a.conf');
  const { lines } = await run(['--json', file]);
  t.match(JSON.parse(lines[0] ?? ''), { listeners: [{ connectionLimit: 9 }] });
});

t.test('the paths that a config may name follow the options', async (t) => {
  const folder = t.testdir({
    'a.cfg': 'global\n    stats socket /srv/amphora/x.sock mode 0666 level user\n',
  });
  const file = join(folder, 'a.cfg');
  t.equal((await run([file])).status, 1);
  t.equal((await run(['--base-path', '/srv/amphora', file])).status, 0);
});

t.test('the front of amphoractl', async (t) => {
  const front = async (...argv: string[]) => {
    const out: string[] = [];
    const err: string[] = [];
    const status = await runCommand([explain], argv, {
      line: (text) => out.push(text),
      error: (text) => err.push(text),
    });
    return { status, out: out.join('\n'), err: err.join('\n') };
  };
  t.match(await front(), { status: 2, out: '', err: /usage: amphoractl/ });
  t.match(await front('--help'), { status: 0, out: /explain {2}say which engine/, err: '' });
  t.match(await front('explan'), { status: 2, out: '', err: /unknown command "explan"/ });
  t.match(await front('explain', '--help'), { status: 0, out: /--json/, err: '' });
  t.match(await front('explain'), { status: 2, out: '', err: /explain needs a file/ });
  t.match(await front('explain', '--jsn', 'x'), { status: 2, out: '', err: /--jsn/ });
  const broken = { ...explain, run: () => Promise.reject(new TypeError('a bug')) };
  await t.rejects(runCommand([broken], ['explain'], { line: () => 0, error: () => 0 }), /a bug/);
});
