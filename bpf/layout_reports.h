/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What user space is told of packets and flows, and what it asks of the sweep. */
#ifndef AMPHORA_LAYOUT_REPORTS_H
#define AMPHORA_LAYOUT_REPORTS_H

#include "layout_control.h"

/* ---- why a packet did not take the plain path (index of `reasons`, per CPU counts) ------- */

/* New ones go to the end: counts are carried over by number when a layout changes. */
enum reason {
	REASON_NOT_OURS,
	REASON_MALFORMED,	/* passed to the kernel, which judges for itself */
	REASON_FORWARDED,	/* by a known flow */
	REASON_NEW_FLOW,
	REASON_VIP_NOT_LOCAL,	/* passed: the kernel does not own the VIP */
	REASON_NO_FLOW,		/* to a VIP or SNAT address, not opening and not known: passed; of a flow just lost: dropped */
	REASON_ACL,
	REASON_LIMIT,
	REASON_NO_MEMBER,
	REASON_NO_PORT,
	REASON_TABLE_FULL,
	REASON_GUARD,
	REASON_MEMBER_REFUSED,	/* RST of a member swallowed, client will retry elsewhere */
	REASON_NO_NEIGHBOUR,	/* translated and passed up, the kernel resolves and forwards */
	REASON_NO_ROUTE,
	REASON_TTL,
	REASON_TOO_BIG,
	REASON_ICMP_TRANSLATED,
	REASON_FRAGMENT,	/* later fragment forwarded */
	REASON_FRAGMENT_ORPHAN,	/* later fragment before the first: dropped */
	REASON_EVENT_LOST,
	REASON_ERROR,		/* a helper failed */
	REASON_RST_SENT,
	REASON_ICMP_SENT,
	REASON_LOG_LOST,	/* no room in `log_events` for the end of a flow */
	REASON_MAX,
};

/* ---- events ------------------------------------------------------------------------------ */

enum flow_event_type {
	FLOW_EVENT_OPEN = 1,
	FLOW_EVENT_CLOSE = 2,	/* FIN both ways or RST */
	FLOW_EVENT_EXPIRE = 3,	/* by the sweep */
	FLOW_EVENT_REFUSE = 4,	/* never opened; told to the log alone */
};

/* How a flow ended. */
enum flow_end {
	FLOW_END_NONE,
	FLOW_END_FIN,		/* from both sides */
	FLOW_END_CLIENT_RST,
	FLOW_END_MEMBER_RST,
	FLOW_END_IDLE,
	FLOW_END_EVICTED,	/* with its member */
	FLOW_END_REFUSED,	/* by the last member asked */
	FLOW_END_NO_MEMBER,	/* nobody to ask, no way there or no SNAT port left */
};

/* One size, so that records of the log can be counted. */
struct flow_event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 rx_bytes, tx_bytes;
	struct ip_addr client, vip, snat, member_address;
	__be16 client_port, vip_port, snat_port, member_port;
	__u32 listener, member;
	__u32 created; /* low half of jiffies */
	__u32 jiffies;
	__u8 type; /* enum flow_event_type */
	__u8 protocol;
	__u8 family; /* 4 or 6 */
	__u8 end; /* enum flow_end */
	__u32 state; /* of the client half, enum flow_state */
	__u32 idle_stamps; /* since either half was last seen */
	__u32 pool; /* number, or NO_POOL */
};

/* ---- the sweep (syscall program `reap`) --------------------------------------------------- */

/* Context of `reap`: the first `count` keys of reap_keys4 or reap_keys6 (client halves). */
struct reap_context {
	__u32 count;
	__u32 family;	 /* 4 or 6 */
	__u32 idle_before; /* delete only if both halves were last seen before this stamp ... */
	__u32 force;	 /* ... or in any case */
	__u32 reaped;	 /* answer: pairs deleted */
	__u32 reserved;
};

/* Context and answer of `clock`: lets user space measure HZ and read the stamp. */
struct clock_context {
	__u64 jiffies;
	__u64 time_ns;
};

#endif
