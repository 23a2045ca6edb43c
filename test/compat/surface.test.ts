// SPDX-License-Identifier: Apache-2.0
// The whole REST surface, asked by Octavia's own client over mutual TLS: our agent answers what the tables say, and
// so does the stock agent, but for the differences that are explained.
import t from 'tap';
import { startAmphora, type AgentName } from './amphora-under-test.js';
import { DIFFERENCES, stockOverrides } from './differences.js';
import { OPERATIONS, operationOf } from './operations.js';
import type { Row } from './row.js';
import { certificateRows } from './rows/certificates.js';
import { frameworkRows } from './rows/framework.js';
import { haproxyRows } from './rows/haproxy.js';
import { offloadRows } from './rows/offload.js';
import { plugRows } from './rows/plug.js';
import { ruleRows } from './rows/rules.js';
import { tlsRows } from './rows/tls.js';
import { vrrpRows } from './rows/vrrp.js';
import { wireRows } from './rows/wire.js';
import { type Outcome, type Overrides, runRow } from './run-rows.js';

/** In this order: VIPs are plugged before HAProxy binds them, and the last tables change the agent itself. */
const TABLES: Readonly<Record<string, readonly Row[]>> = {
  framework: frameworkRows,
  certificates: certificateRows,
  plug: plugRows,
  rules: ruleRows,
  haproxy: haproxyRows,
  offload: offloadRows,
  vrrp: vrrpRows,
  wire: wireRows,
  tls: tlsRows,
};
const ROWS = Object.values(TABLES).flat();

const run = async (name: AgentName, overrides: Overrides): Promise<Map<string, Outcome>> => {
  const amphora = await startAmphora(name);
  try {
    const outcomes = new Map<string, Outcome>();
    for (const row of ROWS) outcomes.set(row.name, await runRow(amphora, row, overrides[row.name]));
    return outcomes;
  } finally {
    if (process.env['AMPHORA_LOG'] !== undefined) console.error(amphora.vm.log());
    await amphora.remove();
  }
};

const overrides = stockOverrides();
const runs = { ours: run('ours', {}), stock: run('stock', overrides) };

for (const name of ['ours', 'stock'] as const) {
  t.test(name, async (t) => {
    const outcomes = await runs[name];
    for (const [table, rows] of Object.entries(TABLES)) {
      t.test(table, (t) => {
        for (const row of rows) t.same(outcomes.get(row.name)?.findings, [], row.name);
        t.end();
      });
    }
  });
}

t.test('every row has its own name', (t) => {
  const names = ROWS.map(({ name }) => name);
  t.same(
    names.filter((name, index) => names.indexOf(name) !== index),
    [],
  );
  t.end();
});

t.test('every difference is one', async (t) => {
  const outcomes = await runs.stock;
  for (const { where, rows } of DIFFERENCES) {
    for (const name of Object.keys(rows)) {
      const outcome = outcomes.get(name);
      t.ok(outcome, `${where}: there is a row "${name}"`);
      t.same(outcome?.needless, [], `${where}: ${name}`);
    }
  }
});

t.test('every operation has a row that succeeds', async (t) => {
  const succeeded = [...(await runs.ours).values()]
    .filter(({ seen }) => typeof seen['status'] === 'number' && seen['status'] < 300)
    .flatMap(({ request }) => (request === null ? [] : (operationOf(...request) ?? [])));
  for (const [number, method, path] of OPERATIONS) {
    t.ok(succeeded.includes(number), `${method} ${path}`);
  }
});
