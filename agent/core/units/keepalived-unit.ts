// SPDX-License-Identifier: Apache-2.0
// The systemd unit of keepalived (contract 5.6, 7.3).
import { unitWord } from './unit-word.js';

export interface KeepalivedUnit {
  readonly program: string;
  readonly args: readonly string[];
  readonly pidFile: string;
  readonly namespace: string;
}

/** Text of `octavia-keepalived.service`. The main process ends its children, so no other is killed. */
export const renderKeepalivedUnit = (unit: KeepalivedUnit): string => {
  const command = [unit.program, ...unit.args].map(unitWord).join(' ');
  return `# Made by amphora-agent: changes here are lost.
[Unit]
Description=Keepalive Daemon (VRRP)
After=network-online.target amphora-netns.service
Wants=network-online.target
Requires=amphora-netns.service

[Service]
# It starts through "ip netns exec", which would give it another context.
SELinuxContext=system_u:system_r:keepalived_t:s0
Type=forking
KillMode=process
Restart=always
# Its number may be another process's since the last boot, and keepalived would not start beside that.
ExecStartPre=-/bin/rm -f ${unitWord(unit.pidFile)}
ExecStart=/sbin/ip netns exec ${unit.namespace} ${command}
ExecReload=/bin/kill -HUP $MAINPID
PIDFile=${unit.pidFile}

[Install]
WantedBy=multi-user.target
`;
};
