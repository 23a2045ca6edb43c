// SPDX-License-Identifier: Apache-2.0
// The kernel's packet generator in the guest: one thread, 64-byte UDP frames, one device at a time.
import type { GuestShell } from '../support/image/guest-shell.js';
import { CLIENT, ENDS, PORT, type Middle } from './pktgen-guest.js';

export interface Burst {
  readonly microseconds: number;
  readonly sent: number;
}

/** Points the generator at `middle`: from `flows` source ports, met in random order. */
export const aim = async (shell: GuestShell, middle: Middle, flows: number): Promise<void> => {
  const device = `out-${middle.name}`;
  const set = (file: string, ...lines: readonly string[]): string[] =>
    lines.map((line) => `echo '${line}' > /proc/net/pktgen/${file}`);
  await inEnds(shell, [
    'set -e',
    ...set('kpktgend_0', 'rem_device_all'),
    // Its thread does that when it gets to it.
    'while grep -q out- /proc/net/pktgen/kpktgend_0; do sleep 0.1; done',
    ...set('kpktgend_0', `add_device ${device}`),
    // A datagram of its own each time: veth cannot share one. A NIC would add 4 bytes of FCS.
    ...set(device, 'clone_skb 0', 'pkt_size 60', 'delay 0'),
    ...set(device, `dst_mac ${middle.frontMac}`, `dst ${middle.target}`),
    ...set(device, `src_min ${CLIENT}`, `src_max ${CLIENT}`),
    ...set(device, `udp_dst_min ${PORT}`, `udp_dst_max ${PORT}`),
    // The maximum is never sent.
    ...set(device, 'udp_src_min 2000', `udp_src_max ${2000 + flows}`),
    ...(flows === 1 ? [] : set(device, 'flag UDPSRC_RND')),
  ]);
};

/** Sends that many, as fast as it goes; ends when the last is sent. Throws with the generator's words. */
export const fire = async (shell: GuestShell, middle: Middle, packets: number): Promise<Burst> => {
  const device = `out-${middle.name}`;
  const words = await inEnds(shell, [
    'cd /proc/net/pktgen',
    `echo count ${packets} > ${device} && echo start > pgctrl || exit`,
    // It returns too early where the thread does not begin within 125 ms.
    `until grep -q 'OK: [0-9]*(' ${device}; do sleep 0.1; done`,
    `cat ${device}`,
  ]);
  const [, microseconds, sent] = /OK: (\d+)\(.*\) usec, (\d+) \(/.exec(words) ?? [];
  const errors = /errors: (\d+)/.exec(words)?.[1];
  if (microseconds === undefined || sent === undefined || errors !== '0')
    throw new Error(`pktgen: ${words}`);
  return { microseconds: Number(microseconds), sent: Number(sent) };
};

const inEnds = (shell: GuestShell, script: readonly string[]): Promise<string> =>
  shell.run(`nsenter --net=${ENDS} sh -c "${script.join('\n')}"`, 600_000);
