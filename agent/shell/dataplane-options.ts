// SPDX-License-Identifier: Apache-2.0
// How a dataplane is made.
import type { TableSizes } from '../core/plan/sizes.js';

/** The part of pino's logger that is used: fields first, a constant message second. */
export interface DataplaneLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface DataplaneOptions {
  /** On a bpffs, for example /sys/fs/bpf/amphora-xdp. Made if missing. */
  readonly pinDirectory: string;
  /** Survives a reboot or not; what it holds is about one boot. */
  readonly stateDirectory: string;
  /** Namespace of the interfaces, such as /var/run/netns/amphora-haproxy; null: the agent's own. */
  readonly netns: string | null;
  readonly sizes: TableSizes;
  readonly logger: DataplaneLogger;
  /** Source of packets that leave by the VIP's own interface (contract P34). Default: the VIP. */
  readonly snatSource?: 'vip' | 'interface';
  /** Inclusive; must be disjoint from the namespace's ip_local_port_range. */
  readonly snatPorts?: { readonly min: number; readonly max: number };
  /** New flows per second and CPU before the guard looks at shares; 0: no guard. */
  readonly guardPerSecond?: number;
  /** Time between looks at the flow tables; 0: no sweep (tests call sweep() themselves). */
  readonly sweepMs?: number;
  /** Where lb_xdp.bpf.o, lb_tc.bpf.o and lb_sys.bpf.o are; default: as installed. */
  readonly objectDirectory?: string;
}
