/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a client calls and who serves it; what the kernel keeps and counts of each. */
#ifndef AMPHORA_LAYOUT_SERVICES_H
#define AMPHORA_LAYOUT_SERVICES_H

#include "layout_control.h"

/* ---- services: what a client calls ------------------------------------------------------ */

struct service_key {
	struct ip_addr vip;
	__be16 port;
	__u8 protocol;
	__u8 reserved; /* 0: hash maps compare every byte of the key */
};
_Static_assert(sizeof(struct service_key) == 20, "padding would make equal keys differ");

struct service {
	__u32 listener;
	__u32 vip_ifindex; /* packets that leave here keep the VIP as their source; 0: never */
};

/* ---- listeners, pools, members ---------------------------------------------------------- */

enum listener_flag {
	LISTENER_LIVE = 1,	 /* exists and is enabled */
	LISTENER_COUNT_PACKETS = 2, /* bill whole IP packets (LVS) instead of payload (HAProxy) */
	LISTENER_ACL = 4,	 /* only sources in `allowed` under this listener's number */
	LISTENER_KEEP_PORT = 8,	 /* try the client's own port first (UDP) */
	LISTENER_LOG = 16,	 /* a record in `log_events` for the end of each flow */
};

struct listener {
	__u32 flags; /* enum listener_flag */
	__u32 pool;  /* number, or NO_POOL */
	__u32 connection_limit; /* open flows; 0: none */
	__u32 connect_stamps;	/* timeout connect: an unanswered SYN, repeated after this long, goes elsewhere; 0: none */
};

#define NO_POOL 0xffffffff
#define NO_MEMBER 0xffffffff

enum algorithm {
	ALGORITHM_ROUND_ROBIN = 0,
	ALGORITHM_LEAST_CONNECTIONS = 1,
	ALGORITHM_SOURCE_HASH = 2,
};

/*
 * One entry of a pool's table (inner map of `pool_slots`). Entry 0 is the head, so that a
 * single swap changes the algorithm, the length and the order together:
 *   head: member = number of slots that follow, weight = enum algorithm
 *   slot: member = member number,               weight = 1..256 (0 in least connections: unweighted 1)
 */
struct pool_slot {
	__u32 member;
	__u32 weight;
};

enum pool_flag {
	POOL_PERSIST = 1, /* source address persistence */
};

struct pool {
	__u32 flags;	       /* enum pool_flag */
	__u32 persist_stamps;  /* record dies after this much idleness; 0: only by LRU */
	__u8 persist_prefix4;  /* leading bits of an IPv4 source that count, 0-32 */
	__u8 persist_prefix6;  /* 0-128 */
	__u16 reserved;
};

enum member_flag {
	MEMBER_PRESENT = 1, /* number in use */
	MEMBER_PERSIST = 2, /* persisted clients may still be sent here (weight 0 drains) */
};

struct member {
	struct ip_addr address;
	__be16 port;
	__u16 flags; /* enum member_flag */
	__u32 connection_limit; /* open flows (uthreshold); 0: none */
	__u32 listener;
	__u32 pool;
};

struct pool_state {
	__u64 cursor; /* round robin: slots handed out since ever */
	__u64 least;  /* least connections: lower bound of open * LEAST_SCALE / weight */
};

struct member_state {
	__u32 open;	  /* flows established and not closed */
	__u32 port_cursor; /* SNAT ports handed out, modulo the range */
	__u32 suspect;	  /* stamp until which new flows avoid it; 0: none */
	__u32 reserved;
};

struct listener_state {
	__u32 open;
	__u32 reserved;
};

/* Per CPU. rx: from clients, tx: to clients. Bytes in the listener's unit. */
struct member_counters {
	__u64 rx_packets, rx_bytes, tx_packets, tx_bytes;
	__u64 flows; /* opened since ever */
	__u64 refusals; /* SYNs answered with RST, or not at all before the client repeated */
};

struct listener_counters {
	__u64 flows; /* accepted since ever: TCP at the end of the handshake, UDP at the first packet */
	__u64 refused_acl;
	__u64 refused_limit;
	__u64 refused_no_member;
	__u64 refused_no_port;
	__u64 refused_table_full;
	__u64 dropped_guard;
	__u64 reselected;
	__u32 guard_stamp; /* guard bookkeeping, see struct guard */
	__u32 guard_count;
};

/* Per CPU: new flows counted in the current stamp unit. */
struct guard {
	__u32 stamp;
	__u32 count;
};

#endif
