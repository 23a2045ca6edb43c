// SPDX-License-Identifier: Apache-2.0
// cloud-init may start the agent before it has written the agent's files (contract 6.3, P62).
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import { textOf } from '../errors.js';

const PAUSE_MS = 1000;

/** Repeats `read` until it succeeds, and says what is missing whenever that changes, also to `onMissing`. */
export const awaitStart = async <Value>(
  read: () => Promise<Value> | Value,
  log: FastifyBaseLogger,
  onMissing: (missing: string) => void = () => undefined,
): Promise<Value> => {
  let said = '';
  for (;;) {
    try {
      return await read();
    } catch (error) {
      const missing = textOf(error);
      if (missing !== said) {
        log.warn({ missing }, 'not ready to start, waiting');
        onMissing(missing);
      }
      said = missing;
      await sleep(PAUSE_MS);
    }
  }
};
