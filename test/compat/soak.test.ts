// SPDX-License-Identifier: Apache-2.0
// A live amphora under random configs from Octavia's renderers, in random order, with repeats, bad uploads, restarts
// and kills: after each step it is what the last accepted uploads imply, and at the end nothing is left.
// `SOAK_CONFIGS=1000` makes it long, `SEED=` repeats a run.
import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import { Random, seedOfRun } from '../support/random.js';
import { until } from '../support/run.js';
import { MEMBERS, VIP } from '../support/topology.js';
import { AMPHORA_ID } from '../support/tls.js';
import { listenersOf } from './expected-datapath.js';
import { isLvs, renderedMembers, renderedPools } from '../core/expected-explanation.js';
import { randomModel, type Place } from './random-model.js';
import { startRenderers } from './renderers.js';
import { SoakAmphora } from './soak-amphora.js';
import { agentOf, memoryOf, stillThere, takeHoldings } from './soak-leaks.js';
import { asUploaded, configsOf, NOTHING, type Config, type State } from './soak-state.js';
import { randomStep, type Step } from './soak-steps.js';
import { atOnce, implied, type Observed } from './soak-views.js';

const seed = seedOfRun();
const count = Number(process.env['SOAK_CONFIGS'] ?? '60');
const SERVED_PORT = 7001;
const MAPS = 'anon_inode:bpf-map';

const common = {
  amphoraId: AMPHORA_ID,
  vips: [VIP.v4, VIP.v6, VIP.second],
  memberPorts: [SERVED_PORT, 7002],
  // Some serve, some refuse, some are silent.
  memberAddresses: [
    ...Object.values(MEMBERS).flatMap(({ v4, v6 }) => [v4, v6]),
    ...['10.1.0.99', '192.0.2.7', '2001:db8:1::99'],
  ],
};
const idsOf = (kind: string, many: number): string[] =>
  Array.from({ length: many }, (_, i) => `0000${kind}0${i}-0000-4000-8000-00000000000${i}`);
const PLACES: readonly Place[] = [
  {
    ...common,
    id: '0000aaaa-0000-4000-8000-000000000000',
    ports: [80, 443, 8001, 8002, 8003, 8004, 8005],
    listenerIds: idsOf('a1', 6),
    lvs: idsOf('a2', 3).map((id, i) => ({ id, port: 53 + i })),
    isAlone: true,
  },
  {
    ...common,
    id: '0000bbbb-0000-4000-8000-000000000000',
    ports: [9001, 9002, 9003, 9004],
    listenerIds: idsOf('b1', 3),
    lvs: idsOf('b2', 2).map((id, i) => ({ id, port: 9053 + i })),
    isAlone: false,
  },
];
const LOAD_BALANCERS = PLACES.map(({ id }) => id);
/** Long enough for HAProxy to hand over to a new worker and for its checks to be heard, on a busy machine. */
const SETTLE_MS = 60_000;

t.setTimeout(Math.max(300, count * 10) * 1000);

t.test(`${count} random configs, SEED=${seed}`, async (t) => {
  const renderers = startRenderers();
  t.teardown(() => renderers.stop());
  const amphora = await SoakAmphora.boot(LOAD_BALANCERS, SERVED_PORT);
  let isRemoved = false;
  t.teardown(async () => {
    if (!isRemoved && !t.passing() && process.env['AMPHORA_LOG'] !== undefined)
      t.comment('%s', amphora.bed.vm.log());
    if (!isRemoved) await amphora.remove();
  });
  const random = new Random(`${seed}/steps`);
  let models = 0;
  let used = 0;

  /** A random load balancer's configs: a new one, or now and then one of before. */
  const nextConfigs = async (): Promise<readonly Config[]> => {
    const isAgain = models > 0 && random.chance(0.15);
    const index = isAgain ? random.integer(0, models - 1) : models;
    const own = new Random(`${seed}/${index}`);
    const model = randomModel(own, own.pick(PLACES));
    const configs = configsOf(model, await renderers.render(model));
    if (!isAgain) {
      models += 1;
      used += configs.length;
    }
    return configs;
  };

  const wantedBy = (state: State, seen: Observed) =>
    implied(state, seen.down, { loadBalancerIds: LOAD_BALANCERS });
  const isSettled = (state: State) => (seen: Observed) => {
    const { listed, status, datapath, haproxy } = seen;
    return isDeepStrictEqual({ listed, status, datapath, haproxy }, wantedBy(state, seen));
  };
  const isInForce = (state: State, seen: Observed): boolean =>
    isDeepStrictEqual(atOnce(seen, state), atOnce(wantedBy(state, seen), state));

  /** Texts as they are read back, and as a state has them. */
  const textsOf = async ({ touched }: Step) =>
    Promise.all(touched.map(async ({ kind, id }) => [id, await amphora.text(kind, id)] as const));
  const hasTexts = (state: State, texts: readonly (readonly [string, string | null])[]): boolean =>
    texts.every(([id, text]) => (state.uploaded.get(id)?.text ?? null) === text);

  /** Which of the outcomes it was, or null after saying what is wrong. */
  const verify = async (step: Step): Promise<State | null> => {
    const [texts, first] = await Promise.all([
      textsOf(step),
      amphora.observeUntil(() => true, SETTLE_MS),
    ]);
    const told = step.outcomes.filter((state) => hasTexts(state, texts));
    const state = told.find((one) => first !== null && isInForce(one, first));
    if (first === null || state === undefined) {
      t.equal(told.length > 0, true, `texts are as uploaded: ${step.words}`);
      const [nearest] = told.length > 0 ? told : step.outcomes;
      if (first !== null && nearest !== undefined) {
        const wanted = atOnce(wantedBy(nearest, first), nearest);
        t.strictSame(atOnce(first, nearest), wanted, `in force at once: ${step.words}`);
      }
      return null;
    }
    if (isSettled(state)(first)) return state;
    const last = await amphora.observeUntil(isSettled(state), SETTLE_MS);
    if (last !== null && isSettled(state)(last)) return state;
    const { listed, status, datapath, haproxy } = last ?? first;
    const wanted = wantedBy(state, last ?? first);
    t.strictSame({ listed, status, datapath, haproxy }, wanted, `settled: ${step.words}`);
    return null;
  };

  const history: string[] = [];
  let heartbeats = 0;
  let restarts = 0;
  let bestMemory = 0;

  /** Listeners, pools and members that the health manager must hear of. */
  const verifyHeartbeat = async (state: State): Promise<boolean> => {
    heartbeats += 1;
    const { listeners, pools } = await amphora.nextHeartbeat();
    const inForce = listenersOf(asUploaded(state.committed)).filter(
      ({ listener }) => listener.enabled,
    );
    const wantedPools = inForce.flatMap(({ listener, model }) =>
      renderedPools(listener, model).map((pool): [string, string[]] => [
        isLvs(listener) ? pool.id : `${pool.id}:${listener.id}`,
        renderedMembers(pool, listener, model)
          .map(({ id }) => id)
          .sort(),
      ]),
    );
    const seen = Object.entries(pools).map(([key, { members }]): [string, string[]] => [
      key,
      Object.keys(members).sort(),
    ]);
    return (
      t.strictSame(
        Object.keys(listeners).sort(),
        inForce.map(({ listener }) => listener.id).sort(),
        'every listener is told of',
      ) && t.strictSame(new Map(seen.sort()), new Map(wantedPools.sort()), 'and every member')
    );
  };

  // What is made once and kept, made before anything is counted.
  const warmUp = configsOf(...(await warmUpConfigs()));
  for (const config of warmUp) {
    await amphora.uploadCertificates(config);
    await amphora.upload(config);
    await amphora.act(config.id, 'reload');
  }
  for (const { id } of warmUp) await amphora.delete(id);
  await amphora.restart('SIGTERM');
  await amphora.nextHeartbeat();
  const before = takeHoldings(amphora.bed.vm);

  async function warmUpConfigs() {
    const model = randomModel(
      new Random('warm up'),
      PLACES[0] ??
        (() => {
          throw new Error('no place');
        })(),
    );
    return [model, await renderers.render(model)] as const;
  }

  const began = Date.now();
  let state = NOTHING;
  let steps = 0;
  while (used < count) {
    steps += 1;
    const step = await randomStep({ amphora, random, state, nextConfigs });
    history.push(`${steps}: ${step.words}`);
    if (/SIG/.test(step.words)) restarts += 1;
    if (step.complaints.length > 0) t.strictSame(step.complaints, [], step.words);
    const next = await verify(step);
    if (next === null || step.complaints.length > 0) break;
    state = next;
    const { vm } = amphora.bed;
    bestMemory = Math.max(bestMemory, memoryOf(vm, agentOf(vm)));
    if (steps % 10 === 0 && !(await verifyHeartbeat(state))) break;
    if (steps % 50 === 0) t.comment(`${steps} steps, ${used} configs, ${bestMemory} MiB`);
  }
  const seconds = Math.round((Date.now() - began) / 1000);
  t.comment(
    `SEED=${seed}: ${used} configs, ${steps} steps, ${restarts} restarts, ${heartbeats} heartbeats read, ` +
      `${seconds} s, agent at most ${bestMemory} MiB`,
  );
  if (!t.passing()) {
    t.comment('%s', history.slice(-12).join('\n'));
    return;
  }
  t.ok(used >= count, `${used} configs were uploaded, and the state was right after each step`);

  await t.test('nothing is left when all is deleted', async (t) => {
    for (const id of [...state.uploaded.keys(), '0000dead-0000-4000-8000-000000000000']) {
      t.equal((await amphora.delete(id)).status, 200);
    }
    const last = await amphora.observeUntil(isSettled(NOTHING), SETTLE_MS);
    t.ok(last !== null && isSettled(NOTHING)(last), 'nothing is in force');
    /** Handles of maps are opened at their first use and then kept: a few more than after a start. */
    const holdings = () => {
      const { descriptors, ...others } = takeHoldings(amphora.bed.vm);
      const { [MAPS]: maps = 0, ...plain } = descriptors;
      const most = before.descriptors[MAPS] ?? 0;
      const isMore = maps > most + 4;
      return { ...others, descriptors: { ...plain, [MAPS]: isMore ? maps : most } };
    };
    const isBack = async () => isDeepStrictEqual(holdings(), before);
    await until('the same as before', isBack, SETTLE_MS).catch(() => undefined);
    t.strictSame(holdings(), before, 'files, processes, descriptors, namespaces');
    const areGone = async () => (await stillThere(amphora.tables)).length === 0;
    await until('the pools’ tables are freed', areGone, SETTLE_MS).catch(() => undefined);
    t.strictSame(await stillThere(amphora.tables), [], 'no table of a pool outlives it');
    t.comment(`${amphora.tables.maps.size} tables of pools were seen`);
  });

  await amphora.remove();
  isRemoved = true;
  const areGone = async () => (await stillThere(amphora.objects)).length === 0;
  await until('the kernel has freed everything', areGone, SETTLE_MS).catch(() => undefined);
  t.strictSame(await stillThere(amphora.objects), [], 'no map and no program outlives the amphora');
});
