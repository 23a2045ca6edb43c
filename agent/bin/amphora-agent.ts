#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// amphora-agent --config-file FILE: the agent inside an amphora.
import { parseArgs } from 'node:util';
import { createLog, startAgent } from '../main.js';

const { values } = parseArgs({
  options: { 'config-file': { type: 'string', default: '/etc/octavia/amphora-agent.conf' } },
});
const log = createLog();
const agent = await startAgent(values['config-file'], log).catch((error: unknown) => {
  log.fatal({ err: error }, 'agent could not start');
  process.exit(1); // whoever started it starts it again
});

const stop = (signal: NodeJS.Signals): void => {
  log.info({ signal }, 'stopping');
  agent.stop().then(
    () => process.exit(0),
    (error: unknown) => {
      log.error({ err: error }, 'not stopped in order');
      process.exit(1);
    },
  );
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
// logrotate of the image sends it to whoever holds a log file; we write to standard output.
process.on('SIGUSR1', () => undefined);
