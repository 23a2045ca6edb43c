/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every key and value that the datapath shares with user space, and nothing else.
 * TypeScript learns sizes, offsets and enums from the BTF of the compiled object.
 *
 * Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d, except in the
 * flow tables, which are split by family. A map has one writer: structs named
 * *_state and *_counters belong to the kernel, all others to the agent.
 */
#ifndef AMPHORA_LAYOUT_H
#define AMPHORA_LAYOUT_H

#include <linux/types.h>

/* Raised when a field of an older build means something else under its name: its flows are not carried over then. */
#define LAYOUT_VERSION 1

/* Time stamps of flows count units of 64 jiffies (256 ms at HZ=250). */
#define STAMP_SHIFT 6

struct ip_addr {
	__be32 w[4];
};

/* ---- control: one entry, mapped into the agent ------------------------------------------ */

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

/* ---- flows ------------------------------------------------------------------------------ */

struct flow_key4 {
	__be32 saddr, daddr;
	__be16 sport, dport;
	__u8 protocol;
	__u8 reserved[3];
};
_Static_assert(sizeof(struct flow_key4) == 16, "built as two 64-bit words");

struct flow_key6 {
	__be32 saddr[4], daddr[4];
	__be16 sport, dport;
	__u8 protocol;
	__u8 reserved[3];
};
_Static_assert(sizeof(struct flow_key6) == 40, "built as five 64-bit words");

enum flow_state {
	FLOW_FROM_CLIENT = 1,	/* this half translates client -> member */
	FLOW_COUNT_PACKETS = 2, /* see LISTENER_COUNT_PACKETS */
	FLOW_ANSWERED = 4,	/* TCP: SYN-ACK seen; UDP: member has spoken */
	FLOW_OPEN = 8,		/* counted in listener_state and member_state; client half only */
	FLOW_FIN = 16,		/* FIN seen from this side */
	FLOW_TWIN_FIN = 32,	/* FIN seen from the other side */
	FLOW_CLOSED = 64,	/* FIN both ways or RST; kept for the SNAT port's quarantine */
	FLOW_RETRY = 128,	/* half-open: the member refused, the next SYN chooses again */
	FLOW_LOGGED = 256,	/* half-open: the refusal has its line in the log */
};

/*
 * One direction of a flow, complete in itself: 64 bytes, one cache line of its table.
 * The twin's key is (new_daddr, new_saddr, new_dport, new_sport, protocol).
 */
struct flow4 {
	__be32 new_saddr, new_daddr;
	__be16 new_sport, new_dport;
	__u16 ip_delta; /* one's complement, TTL step included; add to ~checksum */
	__u16 l4_delta; /* addresses and ports */
	__u8 dmac[6], smac[6];
	__u32 ifindex;
	__u32 member;
	__u16 mtu;  /* of the egress, 0: unknown */
	__u16 vlan; /* TCI to leave with, 0: untagged */
	__u32 stamp;	  /* last seen */
	__u32 generation; /* of the next hop; other than control.generation: look it up */
	__u32 state;	  /* enum flow_state */
	__u32 created;	  /* low half of jiffies */
	__u64 bytes;
};
_Static_assert(sizeof(struct flow4) == 64, "a flow is one cache line");

struct flow6 {
	__be32 new_saddr[4], new_daddr[4];
	__be16 new_sport, new_dport;
	__u16 reserved;
	__u16 l4_delta;
	__u8 dmac[6], smac[6];
	__u32 ifindex;
	__u32 member;
	__u16 mtu;
	__u16 vlan;
	__u32 stamp;
	__u32 generation;
	__u32 state;
	__u32 created;
	__u64 bytes;
	__u64 spare[2]; /* key and value end on a cache line's end */
};
_Static_assert(sizeof(struct flow6) == 104, "three cache lines with the table's head and the key");

/*
 * The front of the flow tables: one line per CPU and hash, a copy of a flow that this CPU has seen
 * in the current stamp unit. It dies with the unit and with the next hops' generation, so the flow
 * itself is touched a few times a second and nothing has to be told to forget.
 */
struct cache_line4 {
	__u64 addresses; /* saddr, daddr */
	__u64 rest;	 /* sport, dport, protocol; then what is not compared: enum cache_bits, egress MTU */
	__be32 new_saddr, new_daddr;
	__be16 new_sport, new_dport;
	__u16 ip_delta;
	__u16 l4_delta;
	__u8 dmac[6], smac[6];
	__u32 ifindex;
	__u32 member;
	__u32 stamp;
	__u32 generation;
	__u32 bytes; /* not yet added to the flow's */
};
_Static_assert(sizeof(struct cache_line4) == 64, "a line is a line");

struct cache_line6 {
	__u64 addresses[4];
	__u64 rest;
	__be32 new_saddr[4], new_daddr[4];
	__be16 new_sport, new_dport;
	__u16 reserved;
	__u16 l4_delta;
	__u8 dmac[6], smac[6];
	__u32 ifindex;
	__u32 member;
	__u32 stamp;
	__u32 generation;
	__u32 bytes;
	__u64 spare[2];
};
_Static_assert(sizeof(struct cache_line6) == 128, "two lines");

/* The last SYN of a client, to know its repetition by. */
struct recent {
	__u64 key[5]; /* flow_key6, or flow_key4 and zeros */
	__u32 member;
	__u32 stamp;
	__be16 snat_port;
	__u16 reserved[3];
	__u64 spare;
};
_Static_assert(sizeof(struct recent) == 64, "a line is a line");

/* Per CPU and member: the routing answer towards it, for new flows. */
struct hop {
	struct ip_addr member; /* whose way this is: numbers may come to serve others */
	struct ip_addr snat; /* of the egress interface; zero: none */
	__u32 generation;
	__u32 ifindex;
	__u32 mtu;
	__u8 dmac[6], smac[6];
};

/* Per CPU: an interface's MTU, for the MSS of SYNs that come in by it. */
struct link {
	__u32 ifindex;
	__u32 generation;
	__u32 mtu;
};

/* Per CPU: a VIP that the kernel was seen to own in this stamp unit. */
struct local_vip {
	struct ip_addr address;
	__u32 stamp;
	__u32 generation;
};

/* ---- things that may be forgotten (LRU) ------------------------------------------------- */

struct fragment_key {
	struct ip_addr saddr, daddr;
	__be32 id;
	__u32 protocol;
};

/* Ports of the datagram's first fragment: the flow key follows from them. */
struct fragment {
	__be16 sport, dport;
	__u32 stamp;
};

struct persist_key {
	__u32 pool;
	struct ip_addr client; /* masked */
};

struct persist {
	__u32 member;
	__u32 stamp;
};

/* ---- sources that a listener accepts (LPM trie) ----------------------------------------- */

struct allowed_key {
	__u32 prefixlen; /* 32 for the listener + 128 for the address */
	__be32 listener;
	struct ip_addr source;
};

/* ---- interfaces of the namespace, by ifindex -------------------------------------------- */

struct interface {
	struct ip_addr snat4; /* source towards members on this interface; zero: none of this family */
	struct ip_addr snat6;
	__u32 mtu;
	__u32 reserved;
};

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
