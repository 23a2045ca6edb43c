#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// amphora-interface up|down NAME|all: brings interfaces to what their files say, in the namespace that it is
// called in (contract 5.5). `amphora-interface prepare` makes that namespace first: the step of the boot before
// HAProxy and keepalived, which may start before the agent does. Exit status: 2 wrong usage, or failed.
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { readAgentConfig } from '../config.js';
import { textOf } from '../errors.js';
import { type InterfaceAction, changeInterfaces } from '../shell/change-interfaces.js';
import { Network, firewallFile } from '../shell/network.js';

const USAGE =
  'usage: amphora-interface [--config-file FILE] up|down NAME|all\n' +
  '       amphora-interface [--config-file FILE] prepare\n';
/** What the kernel takes for the name of an interface (dev_valid_name). */
const NAME = /^(?!\.{1,2}$)[^/:\s]{1,15}$/;
const log = pino({ level: 'warn' }, pino.destination({ fd: 2, sync: true }));

/** The call as it was meant, or null. */
const readCall = () => {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { 'config-file': { type: 'string', default: '/etc/octavia/amphora-agent.conf' } },
    });
    const [action, name, ...rest] = positionals;
    if (rest.length > 0) return null;
    const file = values['config-file'];
    if (action === 'prepare' && name === undefined) return { file, action, name: '' } as const;
    if ((action !== 'up' && action !== 'down') || name === undefined || !NAME.test(name))
      return null;
    return { file, action: action satisfies InterfaceAction, name } as const;
  } catch {
    return null;
  }
};

const call = readCall();
if (call === null) {
  process.stderr.write(USAGE);
  process.exit(2);
}
try {
  const config = await readAgentConfig(call.file);
  if (call.action === 'prepare') {
    await new Network({
      namespace: config.xdp.networkNamespace,
      directory: config.networkDirectory,
      pluggedInterfacesFile: config.xdp.pluggedInterfacesFile,
      stateDirectory: config.xdp.stateDirectory,
      log,
    }).prepare();
  } else {
    const options = {
      netns: '/proc/self/ns/net',
      directory: config.networkDirectory,
      firewallFile: firewallFile(config.xdp.pluggedInterfacesFile),
      log,
    };
    await changeInterfaces(options, call.action, call.name);
  }
} catch (error) {
  process.stdout.write(`Error: ${textOf(error)}\n`);
  process.exitCode = 2;
}
