#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// amphoractl: the operator's tool. Each command is a module of its own and one line here.
import type { Command } from './command.js';
import { flows } from './ctl-flows.js';
import { host } from './ctl-host.js';
import { logs } from './ctl-logs.js';
import { stats } from './ctl-stats.js';
import { status } from './ctl-status.js';
import { explain } from './explain.js';
import { runCommand } from './run-command.js';

/** In the order of the overview. */
const commands: readonly Command[] = [explain, status, flows, stats, logs, host];

// A reader that has seen enough (`amphoractl ... | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

process.exitCode = await runCommand(commands, process.argv.slice(2), {
  line: (text) => process.stdout.write(`${text}\n`),
  error: (text) => process.stderr.write(`${text}\n`),
});
