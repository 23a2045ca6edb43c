// SPDX-License-Identifier: Apache-2.0
// The programs that HAProxy runs for monitors that it cannot do itself (contract 4.3.8, 4.5.2).
import { access, constants, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { CheckCommands } from '../core/render/check-backends.js';
import { commandPath } from './commands.js';
import { readIfPresent, writeFileAtomic } from './files.js';

export interface CheckOptions {
  /** Where ours are put; HAProxy's user must be able to read it. */
  readonly directory: string;
  /** A constant of the image, named in configs; made here where no image brought it. */
  readonly pingWrapper: string;
  /** Of the reference, named in LVS configs. */
  readonly lvsCheckDirectory: string;
}

export interface Checks {
  readonly commands: CheckCommands;
  /** False where the image has no prober for SCTP: then such members count as unmonitored, not as down. */
  readonly canCheckSctp: boolean;
}

/** Up unless an ICMP port unreachable arrives within a second; both dialects of netcat. */
const UDP_CHECK = `#!/bin/bash
# Made by amphora-agent. Usage: udp_check.sh ADDRESS PORT
[ $# -eq 2 ] || exit 2
if nc -h 2>&1 | grep -q 'nmap.org'; then
    exec nc -uzv -i1 -- "$1" "$2" > /dev/null 2>&1
fi
exec nc -uzv -w1 -- "$1" "$2" > /dev/null 2>&1
`;

/**
 * The same for HAProxy, which calls checks with NOT_USED NOT_USED ADDRESS PORT and gives them no more than the
 * interval between two checks, which may be one second: netcat alone takes as much. The second datagram fails
 * where the first one was answered with ICMP.
 */
const UDP_WRAPPER = `#!/bin/bash
# Made by amphora-agent. Usage: udp NOT_USED NOT_USED ADDRESS PORT
[ $# -eq 4 ] || exit 2
exec 2> /dev/null
exec 3<> "/dev/udp/$3/$4" && printf X >&3 && sleep 0.7 && printf X >&3
`;

const SCTP_WRAPPER = `#!/bin/bash
# Made by amphora-agent. Usage: sctp NOT_USED NOT_USED ADDRESS PORT
[ $# -eq 4 ] || exit 2
exec "${commandPath('amphora-health-checker')}" sctp -- "$3" "$4" > /dev/null 2>&1
`;

const PING_WRAPPER = `#!/bin/bash
# Made by amphora-agent.
exec ping -q -n -w 1 -c 1 -- "$HAPROXY_SERVER_ADDR" > /dev/null 2>&1
`;

/** Writes the scripts; an existing ping wrapper is the image's and stays. */
export const installChecks = async (options: CheckOptions): Promise<Checks> => {
  const udp = join(options.directory, 'udp');
  const sctp = join(options.directory, 'sctp');
  await mkdir(options.directory, { recursive: true, mode: 0o755 });
  await writeFileAtomic(udp, UDP_WRAPPER, 0o755);
  await writeFileAtomic(sctp, SCTP_WRAPPER, 0o755);
  if ((await readIfPresent(options.pingWrapper)) === null) {
    await writeFileAtomic(options.pingWrapper, PING_WRAPPER, 0o755);
  }
  return {
    commands: { ping: options.pingWrapper, udp, sctp },
    canCheckSctp: await isExecutable(commandPath('amphora-health-checker')),
  };
};

/** `<base_path>/lvs/check/udp_check.sh`, 0100: named in LVS configs, which keepalived would run. */
export const installLvsCheck = async (options: CheckOptions): Promise<void> => {
  const path = join(options.lvsCheckDirectory, 'udp_check.sh');
  if ((await readIfPresent(path)) === null) await writeFileAtomic(path, UDP_CHECK, 0o100);
};

const isExecutable = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
