// SPDX-License-Identifier: Apache-2.0
// Random load balancers through Octavia's own renderers into our parser and planner. `SEED=` repeats a run,
// `RENDERED_CONFIGS=` makes it longer.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import type { Listener } from '../../agent/core/model/load-balancer.js';
import { parseHaproxyConfig } from '../../agent/core/parse/haproxy-cfg.js';
import { parseLvsConfig } from '../../agent/core/parse/keepalived-lvs.js';
import { assignNumbers, NO_NUMBERS } from '../../agent/core/plan/numbers.js';
import { partsOf } from '../../agent/core/plan/parts.js';
import { buildTables } from '../../agent/core/plan/tables.js';
import { explainListener } from '../../agent/core/render/explanation.js';
import { renderRemainder } from '../../agent/core/render/remainder.js';
import { byId, expectedListener, haproxyListeners, isLvs } from '../core/expected-explanation.js';
import { viewDatapath } from '../support/datapath-view.js';
import { Random, seedOfRun } from '../support/random.js';
import { certificateFiles } from './certificates.js';
import { expectedDatapath, type Uploaded } from './expected-datapath.js';
import { randomModel, type Place, type RandomModel } from './random-model.js';
import { startRenderers, type Rendered } from './renderers.js';

const execute = promisify(execFile);
const seed = seedOfRun();
const count = Number(process.env['RENDERED_CONFIGS'] ?? '80');
const renderers = startRenderers();
t.teardown(() => renderers.stop());
t.comment(`SEED=${seed} RENDERED_CONFIGS=${count}`);

const place: Place = {
  id: '0000beef-0000-4000-8000-000000000000',
  amphoraId: '0000a000-0000-4000-8000-000000000000',
  vips: ['10.0.0.10', '2001:db8::10', '10.0.2.10'],
  ports: [80, 443, 8080, 8443, 65_535, 1],
  lvs: [53, 443, 5060].map((port) => ({ id: `0000${port}-0000-4000-9000-000000000000`, port })),
  listenerIds: Array.from({ length: 6 }, (_, i) => `000000${i}0-0000-4000-8000-000000000001`),
  memberAddresses: [
    '10.1.0.10',
    '10.1.0.11',
    '192.0.2.7',
    '2001:db8:1::a',
    '2001:db8:1::b',
    '2001:db8:0:0:1::1',
  ],
  memberPorts: [80, 8080, 65_535],
  isAlone: true,
};

const modelOf = (index: number): RandomModel => randomModel(new Random(`${seed}/${index}`), place);

const comparable = (listener: Listener) => {
  const explained = explainListener(listener);
  return { ...explained, reasons: null, pools: [...explained.pools].sort(byId) };
};

const parse = ({ haproxy, lvs }: Rendered): Listener[] => [
  ...(haproxy === null ? [] : parseHaproxyConfig(haproxy).listeners),
  ...Object.values(lvs).map((text) => parseLvsConfig(text)),
];

const uploadedOf = (model: RandomModel): Uploaded => ({
  haproxy: new Map([[model.id, model]]),
  lvs: new Map(model.listeners.filter(isLvs).map((listener) => [listener.id, { model, listener }])),
});

/** The tables for these listeners on an empty datapath, as records of maps. */
const recordsOf = (listeners: readonly Listener[]) => {
  const served = listeners.filter(({ engine }) => engine === 'datapath');
  const limits = { listeners: 512, pools: 512, members: 4096 };
  const numbers = assignNumbers(NO_NUMBERS, partsOf(served), limits);
  const wanted = { listeners: served, down: new Set<string>(), interfaces: [], allowed: null };
  return buildTables(wanted, numbers, { clock: { hz: 250 }, snatSource: 'vip' });
};

const home = mkdtempSync(join(tmpdir(), 'amphora-rendered-'));
t.teardown(() => {
  rmSync(home, { recursive: true });
});

/** HAProxy's own opinion, with the certificates beside it, as on an amphora. */
const checkWithHaproxy = async (text: string, model: RandomModel): Promise<string> => {
  const directory = join(home, 'certs', model.id);
  mkdirSync(directory, { recursive: true });
  for (const [name, content] of certificateFiles(model, directory)) {
    writeFileSync(join(directory, name), content);
  }
  const file = join(home, 'haproxy.cfg');
  const here = text
    .replaceAll('/var/lib/octavia/certs/', `${home}/certs/`)
    .replace('/var/lib/octavia/ping-wrapper.sh', '/bin/true');
  writeFileSync(file, here);
  return execute('/usr/sbin/haproxy', ['-c', '-f', file]).then(
    () => 'valid',
    (error: unknown) => `refused: ${(error as { stderr: string }).stderr}`,
  );
};

const commands = { ping: '/bin/true', udp: '/bin/true', sctp: '/bin/true' };
const seen = new Map<string, number>();
const note = (what: string): unknown => seen.set(what, (seen.get(what) ?? 0) + 1);

t.test(`${count} random load balancers are understood as they are meant`, async (t) => {
  for (let index = 0; index < count; index++) {
    const model = modelOf(index);
    const rendered = await renderers.render(model);
    const listeners = parse(rendered);
    const expected = [...haproxyListeners(model), ...model.listeners.filter(isLvs)].map(
      (listener) => expectedListener(listener, model),
    );
    const isRight =
      t.strictSame(
        listeners.map(comparable).sort(byId),
        expected.sort(byId),
        `config ${index} is understood`,
      ) &&
      t.strictSame(
        viewDatapath(recordsOf(listeners)),
        expectedDatapath(uploadedOf(model), new Set()),
        `config ${index} is planned`,
      );
    if (!isRight) t.comment('%s', [rendered.haproxy, ...Object.values(rendered.lvs)].join('\n'));
    for (const { engine, protocol, pools } of listeners) {
      note(`${engine} ${protocol}`);
      for (const { monitor, algorithm } of pools) {
        note(algorithm);
        note(`monitor ${monitor?.type ?? 'none'}`);
      }
    }
    const split = {
      loadBalancerId: model.id,
      text: rendered.haproxy,
      listeners: listeners.filter(({ origin }) => origin === 'haproxy'),
      lvsListeners: listeners.filter(({ origin }) => origin === 'lvs'),
      commands,
    };
    const remainder = renderRemainder(split);
    if (rendered.haproxy !== null && model.listeners.length > 0) {
      const verdict = await checkWithHaproxy(rendered.haproxy, model);
      t.notMatch(verdict, /refused/, `HAProxy takes config ${index} as rendered`);
    }
    if (remainder !== null) {
      const verdict = await checkWithHaproxy(remainder, model);
      if (!t.notMatch(verdict, /refused/, `HAProxy takes what is left of config ${index}`)) {
        t.comment('%s', remainder);
      }
    }
  }
  t.comment(JSON.stringify(Object.fromEntries([...seen].sort())));
});

t.test('the same seed makes the same load balancers and texts', async (t) => {
  t.strictSame(modelOf(0), modelOf(0));
  t.notSame(modelOf(0), modelOf(1));
  const [first, again] = [await renderers.render(modelOf(3)), await renderers.render(modelOf(3))];
  t.same(again.lvs, first.lvs);
});

t.test('what names say is nobody’s business', async (t) => {
  const model = modelOf(0);
  const named = { ...model, name: 'x\nglobal\n    lua-load /tmp/x' };
  const { haproxy } = await renderers.render(named);
  t.notMatch(haproxy, /lua-load/);
});
