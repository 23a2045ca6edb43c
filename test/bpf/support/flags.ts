// SPDX-License-Identifier: Apache-2.0
// Enums of bpf/layout.h that the packet tables use.
export const LISTENER_FLAG = { live: 1, countPackets: 2, acl: 4, keepPort: 8 } as const;
export const POOL_FLAG = { persist: 1 } as const;
export const MEMBER_FLAG = { present: 1, persist: 2 } as const;
export const ALGORITHM = { roundRobin: 0, leastConnections: 1, sourceHash: 2 } as const;
export type Algorithm = keyof typeof ALGORITHM;

/** In the order of enum reason. */
export const REASONS = [
  'NOT_OURS',
  'MALFORMED',
  'FORWARDED',
  'NEW_FLOW',
  'VIP_NOT_LOCAL',
  'NO_FLOW',
  'ACL',
  'LIMIT',
  'NO_MEMBER',
  'NO_PORT',
  'TABLE_FULL',
  'GUARD',
  'MEMBER_REFUSED',
  'NO_NEIGHBOUR',
  'NO_ROUTE',
  'TTL',
  'TOO_BIG',
  'ICMP_TRANSLATED',
  'FRAGMENT',
  'FRAGMENT_ORPHAN',
  'EVENT_LOST',
  'ERROR',
  'RST_SENT',
  'ICMP_SENT',
] as const;
export type Reason = (typeof REASONS)[number];
