// SPDX-License-Identifier: Apache-2.0
// The unit that makes the namespace (contract 5.1), which the units of HAProxy and keepalived require.
import { unitWord } from './unit-word.js';

export const NETNS_UNIT = 'amphora-netns.service';

export interface NetnsUnit {
  readonly namespace: string;
  /** The command line that makes the namespace and brings every plugged interface to what its file says. */
  readonly prepare: readonly string[];
  readonly pluggedInterfacesFile: string;
}

/**
 * Its text. `prepare` comes last because `sysctl --system` sets a port range that is ours to narrow (contract P65),
 * and only where a port was plugged before: the agent does the same, and a first boot need not start Node twice.
 * At boot this may run before the agent, and while the agent runs it changes nothing.
 */
export const renderNetnsUnit = ({
  namespace,
  prepare,
  pluggedInterfacesFile,
}: NetnsUnit): string => {
  const inside = `/sbin/ip netns exec ${namespace}`;
  const words = [pluggedInterfacesFile, ...prepare].map(unitWord).join(' ');
  return `# Made by amphora-agent: changes here are lost.
[Unit]
Description=Configure ${namespace} network namespace
StopWhenUnneeded=true

[Service]
Type=oneshot
RemainAfterExit=yes
StandardOutput=null
ExecStart=-/sbin/ip netns add ${namespace}
ExecStart=-${inside} sysctl --system
ExecStart=-/bin/sh -c 'test ! -s "$$0" || exec "$$@"' ${words}
`;
};
