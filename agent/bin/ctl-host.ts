// SPDX-License-Identifier: Apache-2.0
// amphoractl host: the machine under the agent. Needs neither root nor agent.
import { parseArgs } from 'node:util';
import { hostWarnings, renderHost } from '../core/report/host.js';
import type { Command } from './command.js';

export const host: Command = {
  name: 'host',
  summary: 'the machine: CPU, memory, disk, processes, and what is short of them',
  help: `amphoractl host [--json]

Prints system, load, memory, disks and the load balancer's processes, and warns of what runs short.

  --json  one JSON object on one line, in bytes, seconds and shares from 0 to 1

Exit status: 0, or 1 when there is a warning.`,
  run: async (args, output) => {
    const { values } = parseArgs({
      args: [...args],
      options: { json: { type: 'boolean', default: false } },
    });
    const { readHostFacts } = await import('../shell/host-facts.js');
    const facts = await readHostFacts();
    const warnings = hostWarnings(facts);
    for (const line of values.json ? [JSON.stringify({ ...facts, warnings })] : renderHost(facts)) {
      output.line(line);
    }
    return warnings.length === 0 ? 0 : 1;
  },
};
