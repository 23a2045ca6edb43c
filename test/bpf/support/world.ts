// SPDX-License-Identifier: Apache-2.0
// The interfaces, addresses, routes and neighbours that the packet tables run on: real veth pairs in the
// namespace of this process, because test-run looks its ingress device and routes up there.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { ipBytes, ipText } from '../../support/address.js';

/** An interface of the amphora, named by what lies behind it. */
export type Port = 'front' | 'back' | 'thin';

interface PortPlan {
  readonly mac: string;
  readonly mtu: number;
  /** Own addresses with prefix; the first of each family is the SNAT source. */
  readonly addresses: readonly string[];
  /** Static neighbours: address to MAC. */
  readonly neighbours: Readonly<Record<string, string>>;
}

export const GATEWAY_MAC = '02:00:00:00:00:01';
/** MAC of the neighbour `last` on a port: 10.1.0.11 and fd00:1::11 are the same machine. */
const neighbourMac = (net: number, last: number): string =>
  `02:00:00:00:0${net}:${last.toString(16).padStart(2, '0')}`;

const neighbours = (net: number, last: readonly number[]): Record<string, string> =>
  Object.fromEntries(
    last.flatMap((host) => [
      [`10.${net}.0.${host}`, neighbourMac(net, host)],
      [`fd00:${net}::${host}`, neighbourMac(net, host)],
    ]),
  );

const MEMBERS = [11, 12, 13, 14, 15, 16, 17, 18, 19];

/** front: VIPs, clients' gateway 10.0.0.1. back: members. thin: members behind a smaller MTU. */
export const PORTS: Readonly<Record<Port, PortPlan>> = {
  front: {
    mac: '02:00:00:00:0f:00',
    mtu: 1500,
    addresses: ['10.0.0.2/24', 'fd00:0::2/64'],
    neighbours: {
      '10.0.0.1': GATEWAY_MAC,
      'fd00:0::1': GATEWAY_MAC,
      ...neighbours(0, [11, 12, 50]),
    },
  },
  back: {
    mac: '02:00:00:00:0b:00',
    mtu: 1500,
    addresses: ['10.1.0.2/24', 'fd00:1::2/64'],
    neighbours: neighbours(1, [1, ...MEMBERS]),
  },
  thin: {
    mac: '02:00:00:00:0c:00',
    mtu: 1400,
    addresses: ['10.2.0.2/24', 'fd00:2::2/64'],
    neighbours: neighbours(2, [11]),
  },
};

/** Addresses that clients call; the kernel owns them on `front`, except `ABSENT_VIP`. */
export const VIP4 = '10.0.0.100';
export const OTHER_VIP4 = '10.0.0.101';
export const VIP6 = 'fd00:0::100';
export const ABSENT_VIP4 = '10.0.0.200';
export const ABSENT_VIP6 = 'fd00:0::200';
/** Reached through 10.1.0.1 and fd00:1::1 on `back`. */
export const REMOTE_MEMBER4 = '10.9.0.11';
export const REMOTE_MEMBER6 = 'fd00:9::11';
/** On the network of `back`, but nobody has resolved them yet. */
export const UNRESOLVED_MEMBER4 = '10.1.0.99';

/** Of a direct neighbour on any port, in any spelling. */
export const memberMac = (address: string): string => {
  const spelt = (text: string): string => ipText(ipBytes(text));
  for (const { neighbours: known } of Object.values(PORTS))
    for (const [neighbour, mac] of Object.entries(known))
      if (spelt(neighbour) === spelt(address)) return mac;
  throw new Error(`no neighbour ${address} in the world`);
};

/** Makes everything in the namespace of this process; the namespace's end removes it. */
export const buildWorld = (): void => {
  const lines = ['link set lo up'];
  for (const [port, { mac, mtu, addresses }] of Object.entries(PORTS)) {
    lines.push(`link add ${port} address ${mac} type veth peer name ${port}-peer`);
    lines.push(`link set ${port} mtu ${mtu}`, `link set ${port}-peer mtu ${mtu}`);
    for (const address of addresses) lines.push(`addr add ${address} dev ${port} nodad`);
  }
  for (const vip of [`${VIP4}/32`, `${OTHER_VIP4}/32`, `${VIP6}/128`])
    lines.push(`addr add ${vip} dev front nodad`);
  for (const port of Object.keys(PORTS))
    lines.push(`link set ${port} up`, `link set ${port}-peer up`);
  lines.push('route add default via 10.0.0.1 dev front');
  lines.push('route add 10.9.0.0/16 via 10.1.0.1 dev back');
  lines.push('route add default via fd00:0::1 dev front');
  lines.push('route add unreachable 10.77.0.0/16', 'route add unreachable fd77::/16');
  lines.push('route add fd00:9::/32 via fd00:1::1 dev back');
  for (const [port, { neighbours: known }] of Object.entries(PORTS))
    for (const [address, mac] of Object.entries(known))
      lines.push(`neigh replace ${address} lladdr ${mac} dev ${port} nud permanent`);
  execFileSync('ip', ['-batch', '-'], { input: withoutNodadOnIpv4(lines).join('\n') });
  for (const family of ['ipv4', 'ipv6'])
    writeFileSync(`/proc/sys/net/${family}/conf/all/forwarding`, '1');
};

const withoutNodadOnIpv4 = (lines: readonly string[]): string[] =>
  lines.map((line) => (line.includes(':') ? line : line.replace(' nodad', '')));

/** Gives a neighbour another MAC. */
export const setNeighbour = (port: Port, address: string, mac: string): void => {
  const args = ['neigh', 'replace', address, 'lladdr', mac, 'dev', port, 'nud', 'permanent'];
  execFileSync('ip', args);
};

/** The member behind the small MTU. */
export const thinMember = (family: 4 | 6): string => (family === 4 ? '10.2.0.11' : 'fd00:2::11');
