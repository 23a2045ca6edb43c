// SPDX-License-Identifier: Apache-2.0
// What may happen to an amphora in a day, at random: each step does it and says which states it may have led to.
import type { Random } from '../support/random.js';
import type { SoakAmphora } from './soak-amphora.js';
import { committed, deleted, stopped, uploaded, type Config, type State } from './soak-state.js';

export interface Step {
  readonly words: string;
  /** More than one only where the agent was killed at work. */
  readonly outcomes: readonly State[];
  /** Configs whose text is to be read back. */
  readonly touched: readonly Pick<Config, 'kind' | 'id'>[];
  /** Answers that should have been others. */
  readonly complaints: readonly string[];
}

export interface Stage {
  readonly amphora: SoakAmphora;
  readonly random: Random;
  readonly state: State;
  /** Takes a config that was not uploaded before, or an earlier one again. */
  readonly nextConfigs: () => Promise<readonly Config[]>;
}

type Act = (stage: Stage) => Promise<Step>;

const STATUS = { haproxy: 202, lvs: 200 } as const;

class Complaints {
  readonly lines: string[] = [];

  expect(what: string, answer: { status: number; body: string }, status: number): void {
    if (answer.status === status) return;
    this.lines.push(`${what}: ${answer.status} ${answer.body.slice(-2500)}`);
  }
}

/** All configs of a load balancer as a controller sends them, but in any order, and not always into force. */
const push: Act = async ({ amphora, random, state, nextConfigs }) => {
  const complaints = new Complaints();
  const configs = random.sample(await nextConfigs(), 99);
  let after = state;
  for (const config of configs) {
    await amphora.uploadCertificates(config);
    const { kind, id } = config;
    complaints.expect(`upload of ${kind} ${id}`, await amphora.upload(config), STATUS[kind]);
    after = uploaded(after, config);
    if (random.chance(0.1)) continue;
    const action = random.pick(['reload', 'reload', 'start']);
    complaints.expect(`${action} of ${id}`, await amphora.act(id, action), 202);
    after = committed(after, id);
  }
  const words = `push ${configs.map(({ kind, id }) => `${kind} ${id}`).join(', ')}`;
  return { words, outcomes: [after], touched: configs, complaints: complaints.lines };
};

const anyUploaded = ({ random, state }: Stage): Config | null => {
  const configs = [...state.uploaded.values()];
  return configs.length === 0 ? null : random.pick(configs);
};

const nothing: Act = async ({ state }) => ({
  ...{ words: 'nothing', outcomes: [state], touched: [], complaints: [] },
});

const repeat: Act = async (stage) => {
  const { amphora, random, state } = stage;
  const config = anyUploaded(stage);
  if (config === null) return nothing(stage);
  const complaints = new Complaints();
  for (let round = random.integer(1, 2); round > 0; round--) {
    complaints.expect('the same upload', await amphora.upload(config), STATUS[config.kind]);
    complaints.expect('reload', await amphora.act(config.id, 'reload'), 202);
  }
  const outcomes = [committed(state, config.id)];
  const words = `repeat ${config.kind} ${config.id}`;
  return { words, outcomes, touched: [config], complaints: complaints.lines };
};

const act: Act = async (stage) => {
  const { amphora, random, state } = stage;
  const config = anyUploaded(stage);
  if (config === null) return nothing(stage);
  const action = random.pick(['reload', 'start', 'stop', 'RELOAD']);
  const complaints = new Complaints();
  complaints.expect(`${action} of ${config.id}`, await amphora.act(config.id, action), 202);
  const after = action === 'stop' ? stopped(state, config.id) : committed(state, config.id);
  const words = `${action} ${config.kind} ${config.id}`;
  return { words, outcomes: [after], touched: [config], complaints: complaints.lines };
};

const remove: Act = async (stage) => {
  const { amphora, random, state } = stage;
  const config = anyUploaded(stage);
  const id = random.chance(0.1) ? random.uuid() : config?.id;
  if (id === undefined) return nothing(stage);
  const complaints = new Complaints();
  complaints.expect(`delete ${id}`, await amphora.delete(id), 200);
  const touched = config?.id === id ? [config] : [];
  return {
    ...{ words: `delete ${id}`, touched, complaints: complaints.lines },
    outcomes: [deleted(state, id)],
  };
};

const SPOILS: readonly ((text: string) => string)[] = [
  (text) => text.replace(/^global\n/m, 'global\n    lua-load /tmp/x.lua\n'),
  (text) => text.replace(/^defaults$/m, 'defautls'),
  (text) => text.replace('    mode ', '    mdoe '),
  (text) => text.replace('stats socket', 'stats sokcet'),
  (text) => text.replace(/^global$/m, 'frontend x\n    bind 10.0.0.10:99999\nglobal'),
  (text) => text.replace(/lb_algo \w+/, 'protocol ICMP'),
  (text) => text.replace('Configuration for Listener', 'Configuration of Listener'),
  (text) => text.replace(/real_server \S+/, 'real_server example.com'),
  (text) => `${text}\nvirtual_server {\n`,
  () => '',
  () => '\0\0\0',
];

/** What must be refused leaves everything as it was. Some spoils miss a text: then it is a repeat. */
const bad: Act = async (stage) => {
  const { amphora, random, state } = stage;
  const config = anyUploaded(stage);
  if (config === null) return nothing(stage);
  const complaints = new Complaints();
  let after = state;
  const fresh = { ...config, id: '0000dead-0000-4000-8000-000000000000' };
  const target = random.chance(0.3) ? fresh : config;
  const text = random.pick(SPOILS)(config.text);
  const words = `bad upload of ${config.kind} ${target.id}`;
  if (text === config.text) return repeat(stage);
  const answer = await amphora.upload({ ...target, text });
  complaints.expect(words, answer, 400);
  if (answer.status !== 400) after = uploaded(state, { ...target, text });
  return { words, outcomes: [after], touched: [config], complaints: complaints.lines };
};

const restart: Act = async ({ amphora, random, state }) => {
  const signal = random.pick(['SIGTERM', 'SIGKILL'] as const);
  await amphora.restart(signal);
  return { words: `agent ended by ${signal}`, outcomes: [state], touched: [], complaints: [] };
};

/** What the interrupted request left undone may be done or not, but nothing in between. */
const interrupt: Act = async (stage) => {
  const { amphora, random, state } = stage;
  const signal = random.pick(['SIGKILL', 'SIGKILL', 'SIGTERM'] as const);
  const configs = await stage.nextConfigs();
  const known = anyUploaded(stage);
  const kind = random.pick(['upload', 'reload', 'delete', 'stop'] as const);
  const fresh = configs[0];
  if (kind === 'upload' && fresh !== undefined) {
    await amphora.uploadCertificates(fresh);
    await amphora.restart(signal, { random, request: () => amphora.upload(fresh) });
    const words = `${signal} in the upload of ${fresh.kind} ${fresh.id}`;
    return { words, outcomes: [state, uploaded(state, fresh)], touched: [fresh], complaints: [] };
  }
  if (known === null) return nothing(stage);
  const { id } = known;
  const words = `${signal} in ${kind} of ${known.kind} ${id}`;
  const request = () => (kind === 'delete' ? amphora.delete(id) : amphora.act(id, kind));
  await amphora.restart(signal, { random, request });
  const outcomes = {
    upload: [state],
    reload: [state, committed(state, id)],
    stop: [state, stopped(state, id)],
    delete: [state, stopped(state, id), deleted(state, id)],
  }[kind];
  return { words, outcomes, touched: [known], complaints: [] };
};

/** Acts by how often they happen. */
const ACTS: readonly (readonly [number, Act])[] = [
  [80, push],
  [8, repeat],
  [10, act],
  [8, remove],
  [8, bad],
  [1, restart],
  [3, interrupt],
];

export const randomStep = (stage: Stage): Promise<Step> => {
  const total = ACTS.reduce((sum, [weight]) => sum + weight, 0);
  let left = stage.random.integer(1, total);
  for (const [weight, does] of ACTS) {
    left -= weight;
    if (left <= 0) return does(stage);
  }
  return nothing(stage);
};
