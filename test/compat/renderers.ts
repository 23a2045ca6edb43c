// SPDX-License-Identifier: Apache-2.0
// Octavia's renderers as a child process: a load balancer in, the controller's uploads out.
import { startPython } from './python.js';
import type { RandomModel } from './random-model.js';

export interface Rendered {
  /** Null where no listener is HAProxy's: the controller uploads none. */
  readonly haproxy: string | null;
  readonly lvs: Readonly<Record<string, string>>;
  readonly vrrp: Readonly<Record<string, string>>;
}

export interface Renderers {
  /** Throws with what the renderer said. */
  render(model: RandomModel): Promise<Rendered>;
  stop(): Promise<void>;
}

export const startRenderers = (): Renderers => {
  const python = startPython('renderers.py');
  return {
    render: async (model) => {
      const answer = (await python.ask({ model })) as Rendered & { readonly error?: string };
      if (answer.error !== undefined) throw new Error(`the renderer refuses: ${answer.error}`);
      return answer;
    },
    stop: () => python.stop(),
  };
};
