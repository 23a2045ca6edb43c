// SPDX-License-Identifier: Apache-2.0
// The monitors of UDP and SCTP pools as HAProxy backends, so that one engine checks everything.
import { formatEndpoint } from '../model/address.js';
import { backendName } from '../model/ids.js';
import type { IpAddress, Listener, Member, Monitor, Pool } from '../model/load-balancer.js';
import { haproxyWord } from './haproxy-word.js';

/**
 * Absolute paths of programs that HAProxy runs, as its own user, with the arguments
 * `NOT_USED NOT_USED <address> <port>`; status 0 means that the member is up. A program has the
 * monitor's timeout before it is killed.
 */
export interface CheckCommands {
  /** PING: one ICMP echo. */
  readonly ping: string;
  /** UDP-CONNECT: up unless an ICMP port unreachable comes back. */
  readonly udp: string;
  /** SCTP: an INIT is answered by an INIT ACK. */
  readonly sctp: string;
}

export interface CheckBackend {
  readonly lines: readonly string[];
  /** True where the check is a program, which HAProxy must be allowed to run. */
  readonly runsProgram: boolean;
}

/** A backend per monitored pool that has a member to check; it carries no traffic. */
export const renderCheckBackends = (
  listener: Listener,
  commands: CheckCommands,
): readonly CheckBackend[] =>
  listener.enabled
    ? listener.pools.flatMap((pool) => renderPool(pool, pool.monitor, listener.id, commands))
    : [];

const renderPool = (
  pool: Pool,
  monitor: Monitor | null,
  listenerId: string,
  commands: CheckCommands,
): readonly CheckBackend[] => {
  const members = pool.members.filter(isChecked);
  if (monitor === null || members.length === 0) return [];
  const { how, runsProgram } = checkLines(monitor, commands);
  const lines = [
    `backend ${backendName(pool.id, listenerId)}`,
    '    mode tcp',
    '    balance roundrobin',
    '    load-server-state-from-file global',
    `    timeout check ${monitor.timeoutSeconds}s`,
    ...how.map((line) => `    ${line}`),
    '    timeout connect 5000',
    '    timeout server 50000',
    ...members.map((member) => `    ${serverLine(member, monitor)}`),
  ];
  return [{ lines, runsProgram }];
};

type CheckedMember = Member & { readonly address: IpAddress; readonly port: number };
const isChecked = (member: Member): member is CheckedMember =>
  member.enabled && member.address !== null && member.port !== null;

const checkLines = (
  monitor: Monitor,
  commands: CheckCommands,
): { how: readonly string[]; runsProgram: boolean } => {
  switch (monitor.type) {
    case 'TCP':
    case 'TLS-HELLO': // the servers' check-ssl makes the handshake
      return { how: [], runsProgram: false };
    case 'HTTP':
    case 'HTTPS':
      return { how: httpLines(monitor), runsProgram: false };
    case 'PING':
      return { how: programLines(commands.ping), runsProgram: true };
    case 'UDP-CONNECT':
      return { how: programLines(commands.udp), runsProgram: true };
    case 'SCTP':
      return { how: programLines(commands.sctp), runsProgram: true };
  }
};

/** HAProxy gives a program no PATH of its own accord, and the programs are scripts. */
const programLines = (command: string): readonly string[] => [
  'option external-check',
  'external-check path /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  `external-check command ${command}`,
];

/** Any of the codes will do: that is what the operator means (contract P46). */
const httpLines = (monitor: Monitor): readonly string[] => {
  const { httpMethod = 'GET', httpPath = '/', httpVersion = '1.0', expectedCodes = [] } = monitor;
  const { httpHost } = monitor;
  return [
    `option httpchk ${haproxyWord(httpMethod)} ${haproxyWord(httpPath)} HTTP/${httpVersion}`,
    ...(httpHost === undefined ? [] : [`http-check send hdr Host ${haproxyWord(httpHost)}`]),
    ...(expectedCodes.length === 0
      ? []
      : [`http-check expect rstatus ^(${expectedCodes.join('|')})$`]),
  ];
};

/** The address is the one to be checked: an external check is told the server's, never its `addr`. */
const serverLine = (member: CheckedMember, monitor: Monitor): string => {
  const target = formatEndpoint({
    address: member.monitorAddress ?? member.address,
    port: member.monitorPort ?? member.port,
  });
  const tls = monitor.type === 'HTTPS' || monitor.type === 'TLS-HELLO';
  return [
    `server ${member.id} ${target} weight ${member.weight} check`,
    ...(tls ? ['check-ssl verify none'] : []),
    `inter ${monitor.intervalSeconds}s fall ${monitor.fall} rise ${monitor.rise}`,
  ].join(' ');
};
