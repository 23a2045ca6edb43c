// SPDX-License-Identifier: Apache-2.0
// systemd units under the names that operators know (contract 5.1, 7.3).

export interface HaproxyUnit {
  readonly program: string;
  readonly configFiles: readonly string[];
  readonly pidFile: string;
  readonly peer: string;
  readonly namespace: string;
}

/** Text of `haproxy-<lb id>.service`. HAProxy stays in the foreground and notifies (`-Ws`). */
export const renderHaproxyUnit = (unit: HaproxyUnit): string => {
  const files = unit.configFiles.map((file) => `-f ${quote(file)}`).join(' ');
  const check = `${quote(unit.program)} -c -q ${files} -L ${quote(unit.peer)}`;
  const serve = `${quote(unit.program)} -Ws ${files} -p ${quote(unit.pidFile)} -L ${quote(unit.peer)}`;
  return `# Made by amphora-agent: changes here are lost.
[Unit]
Description=HAProxy Load Balancer
After=network.target syslog.service amphora-netns.service
Before=octavia-keepalived.service
Wants=syslog.service
Requires=amphora-netns.service

[Service]
# It starts through "ip netns exec", which would give it another context.
SELinuxContext=system_u:system_r:haproxy_t:s0
ExecStartPre=${check}
ExecStart=/sbin/ip netns exec ${unit.namespace} ${serve}
ExecReload=${check}
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
Restart=always
LimitNOFILE=2600000
Type=notify

[Install]
WantedBy=multi-user.target
`;
};

/** Text of `amphora-netns.service`: the namespace at boot, so that HAProxy can start before the agent. */
export const renderNetnsUnit = (namespace: string): string => {
  const inside = `/sbin/ip netns exec ${namespace}`;
  return `# Made by amphora-agent: changes here are lost.
[Unit]
Description=Configure amphora-haproxy network namespace
StopWhenUnneeded=true

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-/sbin/ip netns add ${namespace}
ExecStart=-${inside} sysctl --system
ExecStart=-${inside} sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ExecStart=-${inside} ip link set lo up
`;
};

/** systemd takes double-quoted words with backslashes, and expands % and $. */
const quote = (word: string): string =>
  /^[\w./:@+-]+$/.test(word)
    ? word
    : `"${word.replaceAll(/[\\"]/g, '\\$&').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`;
