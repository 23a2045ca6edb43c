// SPDX-License-Identifier: Apache-2.0
// Networks inside the guest: a generator, what is measured in the middle, and a sink that counts and drops.
import type { GuestShell } from '../support/image/guest-shell.js';
import { MEMBERS, PORTS, VIP } from '../support/topology.js';

/** UDP port of listener, member and generator's target. */
export const PORT = 5300;

const MEMBER = MEMBERS.m1.v4;
const CLIENT = '10.0.0.1';
const SINK_MAC = '02:00:00:00:dd:01';

export interface Middle {
  /** Network namespaces `gen-NAME` and `sink-NAME` belong to it. */
  readonly name: string;
  /** The namespace in the middle; the agent makes and names its own. */
  readonly namespace: string;
  /** Address that the generator sends to. */
  readonly target: string;
  readonly frontMac: string;
}

/** Ends of both veth pairs in the root namespace, where the agent looks for what it is told to plug. */
export const layAmphora = (shell: GuestShell): Promise<string> =>
  shell.run(lay('amphora', PORTS.vip.mac, PORTS.member.mac));

export const AMPHORA: Middle = {
  name: 'amphora',
  namespace: 'amphora-haproxy',
  target: VIP.v4,
  frontMac: PORTS.vip.mac,
};

/** A plain router, or with `ipvs` a kernel balancer with masquerade; addresses as the amphora has them. */
export const layRouter = async (
  shell: GuestShell,
  name: string,
  ipvs: boolean,
): Promise<Middle> => {
  const namespace = `mid-${name}`;
  const frontMac = '02:00:00:00:dd:02';
  const inside = `ip netns exec ${namespace}`;
  await shell.run(
    [
      lay(name, frontMac, '02:00:00:00:dd:03'),
      `ip netns add ${namespace}`,
      `ip link set f-${name} netns ${namespace} name front`,
      `ip link set b-${name} netns ${namespace} name back`,
      `ip -n ${namespace} address add ${PORTS.vip.v4}/24 dev front`,
      `ip -n ${namespace} address add ${PORTS.member.v4}/24 dev back`,
      `for d in lo front back; do ip -n ${namespace} link set $d up; done`,
      `${inside} sysctl -qw net.ipv4.ip_forward=1`,
      `ip -n ${namespace} neigh replace ${MEMBER} lladdr ${SINK_MAC} dev back nud permanent`,
    ].join('\n'),
  );
  if (ipvs) {
    await shell.run(
      [
        'modprobe ip_vs_rr',
        `ip -n ${namespace} address add ${VIP.v4}/32 dev front`,
        `${inside} sysctl -qw net.ipv4.vs.conntrack=1`,
        `${inside} ipvsadm -A -u ${VIP.v4}:${PORT} -s rr`,
        `${inside} ipvsadm -a -u ${VIP.v4}:${PORT} -r ${MEMBER}:${PORT} -m`,
        `${inside} nft add table ip nat`,
        `${inside} nft 'add chain ip nat post { type nat hook postrouting priority 100; }'`,
        `${inside} nft add rule ip nat post oifname back masquerade`,
      ].join('\n'),
    );
  }
  return { name, namespace, target: ipvs ? VIP.v4 : MEMBER, frontMac };
};

/** The cost of the generator itself: what it sends is dropped where it arrives. */
export const layNothing = async (shell: GuestShell): Promise<Middle> => {
  const middle = await layRouter(shell, 'nothing', false);
  await shell.run(drop(middle.namespace, 'front'));
  return middle;
};

const lay = (name: string, frontMac: string, backMac: string): string =>
  [
    'set -e',
    `ip netns add gen-${name}`,
    `ip netns add sink-${name}`,
    `ip link add f-${name} address ${frontMac} type veth peer name out netns gen-${name}`,
    `ip link add b-${name} address ${backMac} type veth peer name in address ${SINK_MAC} netns sink-${name}`,
    `ip -n gen-${name} address add ${CLIENT}/24 dev out`,
    `ip -n sink-${name} address add ${MEMBER}/24 dev in`,
    // Frames that XDP redirects arrive only where somebody polls.
    `ip netns exec sink-${name} ethtool -K in gro on`,
    `ip netns exec gen-${name} ethtool -K out gro on`,
    `ip -n gen-${name} link set out up`,
    `ip -n sink-${name} link set in up`,
    drop(`sink-${name}`, 'in'),
  ].join('\n');

/** Counts and drops before any stack sees it. */
const drop = (namespace: string, device: string): string =>
  [
    `ip netns exec ${namespace} nft add table netdev sink`,
    `ip netns exec ${namespace} nft 'add chain netdev sink in { type filter hook ingress device "${device}" priority 0; }'`,
    `ip netns exec ${namespace} nft add rule netdev sink in meta l4proto udp counter drop`,
  ].join('\n');

/** Datagrams that the sink has counted; for `layNothing` those that have arrived in the middle. */
export const arrived = async (shell: GuestShell, middle: Middle): Promise<number> => {
  const place = middle.name === 'nothing' ? middle.namespace : `sink-${middle.name}`;
  const text = await shell.run(`ip netns exec ${place} nft list table netdev sink`);
  return Number(/packets (\d+)/.exec(text)?.[1] ?? Number.NaN);
};

export interface Burst {
  readonly packets: number;
  readonly flows: number;
}

/** Microseconds that pktgen took to send. 64-byte datagrams, one kernel thread. */
export const generate = async (
  shell: GuestShell,
  middle: Middle,
  { packets, flows }: Burst,
): Promise<number> => {
  const set = (file: string, ...lines: readonly string[]): string[] =>
    lines.map((line) => `echo '${line}' > /proc/net/pktgen/${file}`);
  const script = [
    'set -e',
    ...set('kpktgend_0', 'rem_device_all'),
    // Its thread does that when it gets to it.
    'while grep -qw out /proc/net/pktgen/kpktgend_0; do sleep 0.1; done',
    ...set('kpktgend_0', 'add_device out'),
    ...set('out', `count ${packets}`, 'clone_skb 0', 'pkt_size 60', 'delay 0'),
    ...set('out', `dst_mac ${middle.frontMac}`, `dst ${middle.target}`),
    ...set('out', `src_min ${CLIENT}`, `src_max ${CLIENT}`, `udp_dst_min ${PORT}`),
    ...set('out', `udp_dst_max ${PORT}`, 'udp_src_min 2000', `udp_src_max ${2000 + flows}`),
    ...(flows === 1 ? [] : set('out', 'flag UDPSRC_RND')),
    ...set('pgctrl', 'start'),
    'cat /proc/net/pktgen/out',
  ];
  const inside = `ip netns exec gen-${middle.name} sh -c`;
  const words = await shell
    .run(`${inside} "${script.join('\n')}"`, 600_000)
    .catch(async (error: unknown) => {
      const kernel = await shell.run('dmesg | tail -n 5');
      throw new Error(`${String(error)}: ${kernel}`, { cause: error });
    });
  const result = /OK: (\d+)\(/.exec(words);
  if (result === null) throw new Error(`pktgen: ${words}`);
  return Number(result[1]);
};
