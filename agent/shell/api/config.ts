// SPDX-License-Identifier: Apache-2.0
// Replaces the agent's own configuration (contract 1.5, 19 and 6.2).
import type { Amphora } from '../../amphora.js';
import { AgentError, textOf } from '../../errors.js';
import { type Route, OK, answer } from './routes.js';

/** `replace` checks the text, writes the file and makes the mutable options effective. */
export const configRoutes = (
  amphora: Amphora,
  replace: (text: string) => Promise<void>,
): readonly Route[] => [
  {
    method: 'PUT',
    path: '/1.0/config',
    handle: async (request) => {
      try {
        await amphora.inTurn(() => replace(request.body.toString('utf8')));
      } catch (error) {
        throw new AgentError(
          'CONFIG_NOT_WRITTEN',
          {
            message: 'Unable to update amphora-agent configuration.',
            details: textOf(error),
          },
          { cause: error },
        );
      }
      return answer(202, OK);
    },
  },
];
