// SPDX-License-Identifier: Apache-2.0
// Where the commands lie that scripts and HAProxy call.
import { fileURLToPath } from 'node:url';

export type CommandName =
  'amphora-datapath-check' | 'amphora-health-checker' | 'haproxy-vrrp-check';

/** Absolute path of a compiled command of this installation: nothing depends on a PATH. */
export const commandPath = (name: CommandName): string =>
  fileURLToPath(import.meta.resolve(`#commands/${name}`));

/** Command line that prepares the namespace and its interfaces without an agent, by the given agent config. */
export const prepareCommand = (configFile: string): readonly string[] => [
  process.execPath,
  fileURLToPath(new URL('../bin/amphora-interface.js', import.meta.url)),
  ...['--config-file', configFile, 'prepare'],
];
