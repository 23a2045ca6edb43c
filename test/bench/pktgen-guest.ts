// SPDX-License-Identifier: Apache-2.0
// Networks inside the guest. Generators and sinks are in one namespace, `ends`; between each pair of them is what is
// measured. Few namespaces: each brings a thread of pktgen per CPU that wakes ten times a second.
import type { GuestShell } from '../support/image/guest-shell.js';
import { MEMBERS, PORTS, VIP } from '../support/topology.js';

/** UDP port of listener, member and generator's target. */
export const PORT = 5300;
/** Where the generators send from. */
export const CLIENT = '10.0.0.1';
export const ENDS = '/run/netns/ends';

const MEMBER = MEMBERS.m1.v4;
const SINK_MAC = '02:00:00:00:dd:01';
const FRONT_MAC = '02:00:00:00:dd:02';
const BACK_MAC = '02:00:00:00:dd:03';

export interface Middle {
  /** The generator sends on `out-NAME`; what comes out arrives on `in-NAME`. */
  readonly name: string;
  /** Address that the generator sends to. */
  readonly target: string;
  readonly frontMac: string;
}

export const layEnds = (shell: GuestShell): Promise<string> =>
  shell.run('ip netns add ends && nsenter --net=/run/netns/ends nft add table netdev sinks');

/** The generator alone: what it sends is dropped where it arrives. */
export const layNothing = async (shell: GuestShell): Promise<Middle> => {
  const name = 'nothing';
  await shell.run(
    [
      'set -e',
      `ip -n ends link add out-${name} type veth peer name in-${name} address ${FRONT_MAC}`,
      ...raise(name),
    ].join('\n'),
  );
  return { name, target: MEMBER, frontMac: FRONT_MAC };
};

/** Ports in the root namespace, where the agent looks for what it is told to plug. */
export const layAmphora = async (shell: GuestShell): Promise<Middle> => {
  const name = 'amphora';
  const addresses = [
    `ip -n ends address add ${CLIENT}/24 dev out-${name}`,
    `ip -n ends address add ${MEMBER}/24 dev in-${name}`,
  ];
  await shell.run([...cables(name, PORTS.vip.mac, PORTS.member.mac), ...addresses].join('\n'));
  return { name, target: VIP.v4, frontMac: PORTS.vip.mac };
};

/** A plain router; addresses as the amphora has them. */
export const layRouter = async (shell: GuestShell): Promise<Middle> => {
  const name = 'plain';
  await shell.run(router(name).join('\n'));
  return { name, target: MEMBER, frontMac: FRONT_MAC };
};

/** A router that is a kernel balancer with masquerade, as an amphora of IPVS is. */
export const layIpvs = async (shell: GuestShell): Promise<Middle> => {
  const name = 'ipvs';
  const inside = `nsenter --net=/run/netns/mid-${name}`;
  const balancer = [
    'modprobe ip_vs_rr',
    `ip -n mid-${name} address add ${VIP.v4}/32 dev front`,
    `${inside} sysctl -qw net.ipv4.vs.conntrack=1`,
    `${inside} ipvsadm -A -u ${VIP.v4}:${PORT} -s rr`,
    `${inside} ipvsadm -a -u ${VIP.v4}:${PORT} -r ${MEMBER}:${PORT} -m`,
    `${inside} nft add table ip nat`,
    `${inside} nft 'add chain ip nat post { type nat hook postrouting priority 100; }'`,
    `${inside} nft add rule ip nat post oifname back masquerade`,
  ];
  await shell.run([...router(name), ...balancer].join('\n'));
  return { name, target: VIP.v4, frontMac: FRONT_MAC };
};

const router = (name: string): string[] => [
  ...cables(name, FRONT_MAC, BACK_MAC),
  `ip netns add mid-${name}`,
  `ip link set f-${name} netns mid-${name} name front`,
  `ip link set b-${name} netns mid-${name} name back`,
  `ip -n mid-${name} address add ${PORTS.vip.v4}/24 dev front`,
  `ip -n mid-${name} address add ${PORTS.member.v4}/24 dev back`,
  `for d in lo front back; do ip -n mid-${name} link set $d up; done`,
  `nsenter --net=/run/netns/mid-${name} sysctl -qw net.ipv4.ip_forward=1`,
  `ip -n mid-${name} neigh replace ${MEMBER} lladdr ${SINK_MAC} dev back nud permanent`,
];

const cables = (name: string, frontMac: string, backMac: string): string[] => [
  'set -e',
  `ip link add f-${name} address ${frontMac} type veth peer name out-${name} netns ends`,
  `ip link add b-${name} address ${backMac} type veth peer name in-${name} address ${SINK_MAC} netns ends`,
  ...raise(name),
];

/** The sink counts and drops before any stack sees it. */
const raise = (name: string): string[] => [
  // Frames that XDP redirects arrive only where somebody polls.
  `for d in out-${name} in-${name}; do nsenter --net=${ENDS} ethtool -K $d gro on && ip -n ends link set $d up; done`,
  `nsenter --net=${ENDS} nft 'add chain netdev sinks ${name} { type filter hook ingress device "in-${name}" priority 0; }'`,
  `nsenter --net=${ENDS} nft add rule netdev sinks ${name} meta l4proto udp counter drop`,
];

/** Datagrams that the sink has counted so far. */
export const arrived = async (shell: GuestShell, { name }: Middle): Promise<number> => {
  const text = await shell.run(`nsenter --net=${ENDS} nft list chain netdev sinks ${name}`);
  return Number(/packets (\d+)/.exec(text)?.[1] ?? Number.NaN);
};
