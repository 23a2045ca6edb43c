// SPDX-License-Identifier: Apache-2.0
// What the last accepted uploads imply: which configs lie in the amphora, and which of them are in force.
import type { ListenerModel } from '../core/controller-cases.js';
import { isLvs } from '../core/expected-explanation.js';
import type { Uploaded } from './expected-datapath.js';
import type { RandomModel } from './random-model.js';
import type { Rendered } from './renderers.js';

/** One config of a random load balancer, as a controller uploads it. */
export interface Config {
  readonly kind: 'haproxy' | 'lvs';
  /** Load balancer or listener: what it is uploaded, reloaded and deleted by. */
  readonly id: string;
  readonly text: string;
  readonly model: RandomModel;
  /** Of LVS configs. */
  readonly listener: ListenerModel | null;
}

export interface State {
  readonly uploaded: ReadonlyMap<string, Config>;
  readonly committed: ReadonlyMap<string, Config>;
}

export const NOTHING: State = { uploaded: new Map(), committed: new Map() };

export const configsOf = (model: RandomModel, { haproxy, lvs }: Rendered): Config[] => [
  ...(haproxy === null
    ? []
    : [{ kind: 'haproxy' as const, id: model.id, text: haproxy, model, listener: null }]),
  ...model.listeners.filter(isLvs).map((listener) => ({
    kind: 'lvs' as const,
    id: listener.id,
    text: lvs[listener.id] ?? '',
    model,
    listener,
  })),
];

const without = (configs: ReadonlyMap<string, Config>, id: string): ReadonlyMap<string, Config> =>
  new Map([...configs].filter(([key]) => key !== id));

/** An upload that was accepted. */
export const uploaded = (state: State, config: Config): State => ({
  ...state,
  uploaded: new Map([...state.uploaded, [config.id, config]]),
});

/** Start or reload. */
export const committed = (state: State, id: string): State => {
  const config = state.uploaded.get(id);
  if (config === undefined) return state;
  return { ...state, committed: new Map([...state.committed, [id, config]]) };
};

export const stopped = (state: State, id: string): State => ({
  ...state,
  committed: without(state.committed, id),
});

export const deleted = (state: State, id: string): State => ({
  uploaded: without(state.uploaded, id),
  committed: without(state.committed, id),
});

/** As load balancers and listeners. */
export const asUploaded = (configs: ReadonlyMap<string, Config>): Uploaded => ({
  haproxy: new Map(
    [...configs.values()]
      .filter(({ kind }) => kind === 'haproxy')
      .map(({ id, model }) => [id, model]),
  ),
  lvs: new Map(
    [...configs.values()].flatMap(({ id, model, listener }) =>
      listener === null ? [] : [[id, { model, listener }] as const],
    ),
  ),
});
