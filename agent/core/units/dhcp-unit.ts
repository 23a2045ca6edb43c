// SPDX-License-Identifier: Apache-2.0
// The systemd unit of a DHCP client (contract 5.5).
import { unitWord } from './unit-word.js';

export interface DhcpUnit {
  readonly program: string;
  readonly args: readonly string[];
  readonly interface: string;
  readonly namespace: string;
}

/** Text of `amphora-dhcp-<interface>.service`. It ends while its interface is away, and is tried again. */
export const renderDhcpUnit = (unit: DhcpUnit): string => {
  const command = [unit.program, ...unit.args].map(unitWord).join(' ');
  return `# Made by amphora-agent: changes here are lost.
[Unit]
Description=DHCP client of ${unit.interface} in ${unit.namespace}
After=amphora-netns.service
Requires=amphora-netns.service
StartLimitIntervalSec=0

[Service]
ExecStart=/sbin/ip netns exec ${unit.namespace} ${command}
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
`;
};
