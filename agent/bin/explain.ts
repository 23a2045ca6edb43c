// SPDX-License-Identifier: Apache-2.0
// amphoractl explain: which engine serves each listener of a config, and why. Needs neither root nor agent.
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { parseConfig, type ConfigOptions } from '../core/parse/config.js';
import { ConfigRejected } from '../core/parse/config-rejected.js';
import type { Listener } from '../core/model/load-balancer.js';
import { explainListener, renderExplanation } from '../core/render/explanation.js';
import { UsageError, type Command, type Output } from './command.js';

const help = `amphoractl explain [--json] [--base-path DIR] [--cert-dir DIR] FILE...

Reads HAProxy and keepalived LVS configs as a controller uploads them and prints, for each
listener, the engine that serves it and why. A FILE of - is the standard input.

  --json           one JSON object on one line: {"listeners":[...]}
  --base-path DIR  base_path of the controller (default /var/lib/octavia)
  --cert-dir DIR   base_cert_dir of the controller (default BASE_PATH/certs)

Exit status: 0, or 1 when a file was refused; the others are explained all the same.`;

export const explain: Command = {
  name: 'explain',
  summary: 'say which engine serves each listener of a config, and why',
  help,
  run: async (args, output) => {
    const { files, json, options } = readArguments(args);
    const explained: { file: string; listeners: readonly Listener[] }[] = [];
    for (const file of files) {
      const listeners = await readListeners(file, options, output);
      if (listeners !== null) explained.push({ file, listeners });
    }
    if (json) {
      const listeners = explained.flatMap((one) => one.listeners.map(explainListener));
      output.line(JSON.stringify({ listeners }));
    } else printTables(explained, output);
    return explained.length === files.length ? 0 : 1;
  },
};

const readArguments = (
  args: readonly string[],
): { files: readonly string[]; json: boolean; options: ConfigOptions } => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      'base-path': { type: 'string', default: '/var/lib/octavia' },
      'cert-dir': { type: 'string' },
    },
  });
  if (positionals.length === 0) throw new UsageError('explain needs a file');
  const basePath = values['base-path'];
  const certDir = values['cert-dir'] ?? `${basePath}/certs`;
  return { files: positionals, json: values.json, options: { basePath, certDir } };
};

/** Null after an error message, so that one bad file does not hide the others. */
const readListeners = async (
  file: string,
  options: ConfigOptions,
  output: Output,
): Promise<readonly Listener[] | null> => {
  try {
    return parseConfig(await readText(file), options);
  } catch (error) {
    if (error instanceof ConfigRejected) output.error(error.inFile(file).message);
    else if (isSystemError(error)) output.error(`${file}: ${error.message}`);
    else throw error;
    return null;
  }
};

const readText = async (file: string): Promise<string> => {
  if (file !== '-') return readFile(file, 'utf8');
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks).toString('utf8');
};

const isSystemError = (error: unknown): error is Error =>
  error instanceof Error && 'errno' in error;

const printTables = (
  explained: readonly { file: string; listeners: readonly Listener[] }[],
  output: Output,
): void => {
  for (const [i, { file, listeners }] of explained.entries()) {
    if (i > 0) output.line('');
    if (explained.length > 1) output.line(`${file}:`);
    output.line(renderExplanation(listeners));
  }
};
