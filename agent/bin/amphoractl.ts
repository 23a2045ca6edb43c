#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// amphoractl: finds the subcommand and runs it.
import { UsageError, type Command, type Output } from './command.js';
import { explain } from './explain.js';

/** In the order of the overview. A command is a module of its own and one line here. */
const commands: readonly Command[] = [
  explain, //
];

const main = async (argv: readonly string[], output: Output): Promise<number> => {
  const [name, ...args] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    (name === undefined ? output.error : output.line)(overview());
    return name === undefined ? 2 : 0;
  }
  const command = commands.find((one) => one.name === name);
  if (command === undefined) {
    output.error(`amphoractl: unknown command ${JSON.stringify(name)}\n${overview()}`);
    return 2;
  }
  if (args.includes('--help') || args.includes('-h')) {
    output.line(command.help);
    return 0;
  }
  try {
    return await command.run(args, output);
  } catch (error) {
    if (!isUsageError(error)) throw error;
    output.error(`amphoractl: ${error.message}\nTry: amphoractl ${name} --help`);
    return 2;
  }
};

const overview = (): string => {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return ['usage: amphoractl COMMAND [ARGUMENT...]', '', ...lines].join('\n');
};

/** Our own, and those of node's parseArgs for options that do not exist. */
const isUsageError = (error: unknown): error is Error =>
  error instanceof UsageError ||
  (error instanceof TypeError &&
    'code' in error &&
    String(error.code).startsWith('ERR_PARSE_ARGS_'));

// A reader that has seen enough (`amphoractl ... | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

process.exitCode = await main(process.argv.slice(2), {
  line: (text) => process.stdout.write(`${text}\n`),
  error: (text) => process.stderr.write(`${text}\n`),
});
