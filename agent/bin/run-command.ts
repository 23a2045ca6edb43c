// SPDX-License-Identifier: Apache-2.0
// The front of amphoractl: help, unknown commands, wrong usage; the rest is the command's own.
import { UsageError, type Command, type Output } from './command.js';

/**
 * Runs the command that `argv` names. Resolves to the exit status; rejects only for a bug. Help that
 * was asked for goes to the standard output, help that was not to the error output with status 2.
 */
export const runCommand = async (
  commands: readonly Command[],
  argv: readonly string[],
  output: Output,
): Promise<number> => {
  const [name, ...args] = argv;
  if (name === undefined) {
    output.error(overview(commands));
    return 2;
  }
  if (isHelp(name) || name === 'help') {
    output.line(overview(commands));
    return 0;
  }
  const command = commands.find((one) => one.name === name);
  if (command === undefined) {
    output.error(`amphoractl: unknown command ${JSON.stringify(name)}\n${overview(commands)}`);
    return 2;
  }
  if (args.some(isHelp)) {
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

const isHelp = (word: string): boolean => word === '--help' || word === '-h';

const overview = (commands: readonly Command[]): string => {
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
