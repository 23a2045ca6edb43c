// SPDX-License-Identifier: Apache-2.0
// What stands between client and member in a run, other than our XDP: our tc programs, or nftables.
import { execFileSync } from 'node:child_process';
import { addon } from '../../native/index.js';
import type { Switchboard } from '../bpf/support/switchboard.js';
import { VIP4 } from '../bpf/support/world.js';

/** Ours by tc on both sides. Returns how to take it off. */
export const attachTc = (board: Switchboard): (() => void) => {
  const places = (['front', 'back'] as const).map((port) => ({
    ifindex: board.ifindex(port),
    netns: null,
    priority: 1,
    handle: 1,
  }));
  for (const place of places) addon.attachTc({ programFd: board.programFd(), ...place });
  return () => {
    for (const place of places) addon.detachTc(place);
  };
};

export interface NatSpec {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly member: string;
  readonly memberPort: number;
}

/** DNAT to the member and masquerade, as nftables does it. Returns how to take it off. */
export const addNat = ({ protocol, port, member, memberPort }: NatSpec): (() => void) => {
  nft([
    'add table ip bench',
    'add chain ip bench pre { type nat hook prerouting priority dstnat; }',
    'add chain ip bench post { type nat hook postrouting priority srcnat; }',
    `add rule ip bench pre ip daddr ${VIP4} ${protocol} dport ${port} dnat to ${member}:${memberPort}`,
    'add rule ip bench post oifname "back" masquerade',
  ]);
  return () => {
    nft(['delete table ip bench']);
  };
};

/** Frames that were redirected into a veth arrive only where somebody polls: NAPI, which GRO turns on. */
export const setPolled = (device: string, on: boolean): void => {
  execFileSync('ethtool', ['-K', device, 'gro', on ? 'on' : 'off']);
};

const nft = (commands: readonly string[]): void => {
  execFileSync('nft', ['-f', '-'], { input: `${commands.join('\n')}\n` });
};
