// SPDX-License-Identifier: Apache-2.0
// What a packet table says about the load balancer that its packets meet.
import { enums } from '../../../agent/core/plan/layout.gen.js';
import type { Port } from './world.js';

export type Hook = 'xdp' | 'tc';

export const ALGORITHM = {
  roundRobin: enums.algorithm.ALGORITHM_ROUND_ROBIN,
  leastConnections: enums.algorithm.ALGORITHM_LEAST_CONNECTIONS,
  sourceHash: enums.algorithm.ALGORITHM_SOURCE_HASH,
} as const;
export type Algorithm = keyof typeof ALGORITHM;
type EnumReason = keyof typeof enums.reason;
/** Without the prefix: NOT_OURS, NEW_FLOW ... */
export type Reason = EnumReason extends `REASON_${infer Name}` ? Name : never;

export interface MemberSpec {
  readonly address: string;
  readonly port?: number;
  readonly limit?: number;
  /** enum member_flag; present and open to persisted clients when absent. */
  readonly flags?: number;
}

export interface ListenerSpec {
  /** VIP4 and VIP6 when absent. */
  readonly vips?: readonly string[];
  readonly protocol?: 'tcp' | 'udp' | 'sctp';
  /** 80 when absent. */
  readonly port?: number;
  /** Beside LISTENER_LIVE, which is set when absent or when other bits are given with `live`. */
  readonly flags?: number;
  readonly algorithm?: Algorithm;
  readonly members: readonly MemberSpec[];
  /** The pool's order: index of the member and its weight. Every member once, weight 1, when absent. */
  readonly slots?: readonly (readonly [member: number, weight: number])[];
  readonly connectionLimit?: number;
  /** Prefixes such as 198.51.100.0/24; their presence sets LISTENER_ACL. */
  readonly allowed?: readonly string[];
  readonly persistence?: {
    readonly prefix4?: number;
    readonly prefix6?: number;
    readonly stamps?: number;
  };
}

export interface Sizes {
  /** Per CPU; powers of two. No cache when 0. */
  readonly lines?: { readonly cache: number; readonly recent: number };
  readonly maxEntries?: Readonly<Record<string, number>>;
}

export interface BoardSpec {
  readonly listeners: readonly ListenerSpec[];
  readonly control?: Readonly<Record<string, number>>;
  /** The services' vip_ifindex; `front` when absent, null for "never". */
  readonly vipPort?: Port | null;
  /** More addresses for the local bitmap. */
  readonly local?: readonly string[];
}

/** Numbers of listeners, pools and members start here, so that a zero in the wrong place shows. */
export const FIRST_NUMBER = 3;
