#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// amphora-agent --config-file FILE: the agent inside an amphora.
import { parseArgs } from 'node:util';
import { createLog, startAgent } from '../main.js';
import { serviceManager } from '../shell/service-manager.js';

const usage = `amphora-agent [--config-file FILE]

Serves the amphora API and keeps the datapath and HAProxy as the controller wants them. Needs root.

  --config-file FILE  default /etc/octavia/amphora-agent.conf; the agent waits for it`;

/** The config file, or the end of the process: 0 after help that was asked for, 2 after wrong usage. */
const readArguments = (): string => {
  try {
    const { values } = parseArgs({
      options: {
        'config-file': { type: 'string', default: '/etc/octavia/amphora-agent.conf' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (!values.help) return values['config-file'];
    console.log(usage);
    return process.exit(0);
  } catch (error) {
    console.error(`amphora-agent: ${error instanceof Error ? error.message : String(error)}`);
    console.error(usage);
    return process.exit(2);
  }
};

const file = readArguments();
process.title = 'amphora-agent'; // what ps and top call it
const log = createLog();
const manager = serviceManager(process.env, log);
const agent = await startAgent(file, log, manager).catch((error: unknown) => {
  log.fatal({ err: error }, 'agent could not start');
  process.exit(1); // whoever started it starts it again
});

const stop = (signal: NodeJS.Signals): void => {
  log.info({ signal }, 'stopping');
  manager.stopping();
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
