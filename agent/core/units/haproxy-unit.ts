// SPDX-License-Identifier: Apache-2.0
// The systemd unit of a HAProxy, under the name that operators know (contract 7.3).
import { unitWord } from './unit-word.js';

export interface HaproxyUnit {
  readonly program: string;
  readonly configFiles: readonly string[];
  readonly pidFile: string;
  readonly peer: string;
  readonly namespace: string;
}

/**
 * Text of `haproxy-<lb id>.service`. HAProxy stays in the foreground and notifies (`-Ws`). The file in place is always
 * one that HAProxy accepted (agent/shell/haproxy.ts), so that the unit does not check it again: a start and a reload
 * of a large config are faster by a third.
 */
export const renderHaproxyUnit = (unit: HaproxyUnit): string => {
  const files = unit.configFiles.map((file) => `-f ${unitWord(file)}`).join(' ');
  const serve = `${unitWord(unit.program)} -Ws ${files} -p ${unitWord(unit.pidFile)} -L ${unitWord(unit.peer)}`;
  return `# Made by amphora-agent: changes here are lost.
[Unit]
Description=HAProxy Load Balancer
After=network.target syslog.service amphora-netns.service
Before=octavia-keepalived.service
Wants=syslog.service
Requires=amphora-netns.service
# After a boot its certificates may be away until the agent gives it a config without them.
StartLimitIntervalSec=0

[Service]
# It starts through "ip netns exec", which would give it another context.
SELinuxContext=system_u:system_r:haproxy_t:s0
ExecStart=/sbin/ip netns exec ${unit.namespace} ${serve}
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
Restart=always
RestartSec=1
LimitNOFILE=2600000
Type=notify

[Install]
WantedBy=multi-user.target
`;
};
