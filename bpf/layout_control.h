/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses, time, and the control record: one entry, mapped into the agent. */
#ifndef AMPHORA_LAYOUT_CONTROL_H
#define AMPHORA_LAYOUT_CONTROL_H

#include <linux/types.h>

/* Raised when a field of an older build means something else under its name: its flows are not carried over then. */
#define LAYOUT_VERSION 1

/* Time stamps of flows count units of 64 jiffies (256 ms at HZ=250). */
#define STAMP_SHIFT 6

struct ip_addr {
	__be32 w[4];
};

enum control_flag {
	CONTROL_EVENTS_CLOSE = 1, /* a record in `events` for each closed flow */
	CONTROL_EVENTS_OPEN = 2,  /* and for each opened one */
	CONTROL_TAKEOVER = 4,	  /* flows are on their way from other maps: one that is not here is dropped, not refused */
};

#define VIP_BITMAP_WORDS 16 /* 1024 bits, see vip_bit() */

struct control {
	__u32 generation;     /* of next hops; bumped when routes, neighbours, links or members change; never 0 */
	__u32 flags;	      /* enum control_flag */
	__u32 guard_limit;    /* new flows per CPU and stamp unit before the guard looks at shares; 0: no guard */
	__u32 guard_share;    /* new flows per CPU, stamp unit and listener that pass all the same */
	__u16 snat_port_min;  /* host order, inclusive; disjoint from ip_local_port_range */
	__u16 snat_port_max;
	__u32 reselect_stamps; /* the same for every listener: the shorter of the two counts */
	__u32 suspect_stamps;  /* a member that refused a SYN is avoided for this many stamp units */
	__u32 closed_stamps;   /* a closed flow keeps its SNAT port this long (TIME_WAIT) */
	__u32 cache_mask;      /* lines of `cache4` and `cache6` per CPU, minus one; 0: no cache */
	__u32 cache_cpus;      /* CPUs that have lines (possible CPUs) */
	__u32 recent_mask;     /* lines of `recent`, minus one */
	__u32 reserved;
	__u64 local_bitmap[VIP_BITMAP_WORDS]; /* hashes of VIPs and SNAT addresses: not set = not ours */
	/* Records of `log_events`, modulo 2^32: what the agent has taken, and what has become a line or a counted loss. */
	__u32 log_taken;
	__u32 log_done;
};

#endif
