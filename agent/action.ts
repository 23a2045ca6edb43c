// SPDX-License-Identifier: Apache-2.0
// The actions on a load balancer or an LVS listener, and the words of their answers.
import { AgentError } from './errors.js';
import type { ConfigKind } from './shell/store.js';

const ACTIONS = ['start', 'stop', 'reload'] as const;
export type Action = (typeof ACTIONS)[number];

/** In any case. Throws REQUEST_INVALID. */
export const parseAction = (word: string): Action => {
  const action = ACTIONS.find((one) => one === word.toLowerCase());
  if (action !== undefined) return action;
  const details = `Unknown action: ${word.toLowerCase()}`;
  throw new AgentError('REQUEST_INVALID', { message: 'Invalid Request', details });
};

/** The reference's sentences, with its spelling (contract P16). An LVS reload is a restart (P10). */
export const actionDetails = (
  kind: ConfigKind,
  id: string,
  action: Action,
  wasRunning: boolean,
): string => {
  if (kind === 'lvs') {
    const words = { start: 'started', reload: 'restarted', stop: 'stoped' } as const;
    return `keepalivedlvs listener ${id} ${words[action]}`;
  }
  if (action === 'stop') return `Listener ${id} stoped`;
  return action === 'reload' && wasRunning
    ? `Listener ${id} reloaded`
    : `Configuration file is valid\nhaproxy daemon for ${id} started`;
};
