// SPDX-License-Identifier: Apache-2.0
// Replaces the agent's own configuration (contract 1.5, 19 and 6.2).
import type { Amphora } from '../../amphora.js';
import { parseOsloIni } from '../../core/oslo-ini.js';
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
        const text = request.body.toString('utf8');
        refuseStrayLines(text);
        await amphora.inTurn(() => replace(text));
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

/** A start is patient with a file that somebody edited; what comes from a controller is whole or refused. */
const refuseStrayLines = (text: string): void => {
  parseOsloIni(text, (line) => {
    throw new Error(`line ${line} is neither a section nor an option`);
  });
};
