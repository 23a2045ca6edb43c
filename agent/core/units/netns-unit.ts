// SPDX-License-Identifier: Apache-2.0
// The unit that makes the namespace (contract 5.1), which the units of HAProxy and keepalived require.
import { unitWord } from './unit-word.js';

export const NETNS_UNIT = 'amphora-netns.service';

/**
 * Its text. `prepare`: the command line that makes the namespace and brings every plugged interface to what its
 * file says; it comes last because `sysctl --system` sets a port range that is ours to narrow (contract P65).
 * At boot this may run before the agent, and while the agent runs it changes nothing.
 */
export const renderNetnsUnit = (namespace: string, prepare: readonly string[]): string => {
  const inside = `/sbin/ip netns exec ${namespace}`;
  return `# Made by amphora-agent: changes here are lost.
[Unit]
Description=Configure ${namespace} network namespace
StopWhenUnneeded=true

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-/sbin/ip netns add ${namespace}
ExecStart=-${inside} sysctl --system
ExecStart=-${prepare.map(unitWord).join(' ')}
`;
};
