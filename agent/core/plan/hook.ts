// SPDX-License-Identifier: Apache-2.0
// Which hook serves an interface, and why.
import type { DatapathInterface } from '../model/dataplane.js';

/** Largest MTU that native XDP takes without multi-buffer programs: a page less headroom and tail. */
export const LINEAR_MTU = 3498;

export interface HookPlan {
  readonly hook: 'xdp' | 'tc';
  /** Load with BPF_F_XDP_HAS_FRAGS. */
  readonly frags: boolean;
  /** tc may take over when XDP cannot be attached. */
  readonly fallback: boolean;
  readonly reason: string;
}

/** Drivers whose native XDP pays; the others are tried too and fall back. */
const KNOWN_NATIVE = new Set(['virtio_net']);
/** Devices without a receive ring of their own: native XDP does not exist or runs behind an skb. */
const NO_NATIVE = new Set(['dummy', 'bridge', 'vlan', '802.1Q VLAN Support', 'macvlan', 'ipvlan']);
/**
 * Devices that hand over packets of a local stack, whose checksum hardware was to complete
 * (CHECKSUM_PARTIAL): XDP cannot see that, and would send them on half made.
 */
const HALF_MADE = new Set(['veth']);

export const planHook = ({
  hook,
  driver,
  mtu,
}: Pick<DatapathInterface, 'hook' | 'driver' | 'mtu'>): HookPlan => {
  const frags = mtu > LINEAR_MTU;
  const size = frags ? `MTU ${mtu} needs multi-buffer XDP` : `MTU ${mtu} fits one page`;
  switch (hook) {
    case 'tc':
      return { hook: 'tc', frags: false, fallback: false, reason: 'tc was asked for' };
    case 'xdp':
      return { hook: 'xdp', frags, fallback: false, reason: `xdp was asked for; ${size}` };
    case 'auto': {
      if (NO_NATIVE.has(driver)) {
        const reason = `auto: ${driver} has no native XDP`;
        return { hook: 'tc', frags: false, fallback: false, reason };
      }
      if (HALF_MADE.has(driver)) {
        const reason = `auto: ${driver} hands over half-made checksums, which only tc can tell`;
        return { hook: 'tc', frags: false, fallback: false, reason };
      }
      const known = KNOWN_NATIVE.has(driver)
        ? `${driver} has native XDP`
        : `${driver === '' ? 'unknown driver' : driver}: native XDP is tried`;
      return { hook: 'xdp', frags, fallback: true, reason: `auto: ${known}; ${size}` };
    }
  }
};
