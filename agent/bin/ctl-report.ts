// SPDX-License-Identifier: Apache-2.0
// A command that asks the agent once and shows the answer: as it came with --json, else for people.
import { parseArgs } from 'node:util';
import type { Command } from './command.js';
import { askOnce, socketOption } from './ctl-client.js';
import { withAgent } from './ctl-errors.js';

interface Report<Answer> {
  readonly name: 'status' | 'stats';
  readonly summary: string;
  /** What it shows, in sentences. */
  readonly about: string;
  readonly render: (answer: Answer) => readonly string[];
}

/** `Answer` is what the agent's control socket sends under this name. */
export const reportCommand = <Answer>(report: Report<Answer>): Command => ({
  name: report.name,
  summary: report.summary,
  help: `amphoractl ${report.name} [--json] [--socket PATH]

${report.about}

  --json         one JSON object
  --socket PATH  control_socket of the agent (default ${socketOption.socket.default})`,
  run: (args, output) =>
    withAgent(output, async () => {
      const { values } = parseArgs({
        args: [...args],
        options: { ...socketOption, json: { type: 'boolean', default: false } },
      });
      const found = (await askOnce(values.socket, { command: report.name })) as Answer;
      for (const line of values.json ? [JSON.stringify(found)] : report.render(found)) {
        output.line(line);
      }
    }),
});
