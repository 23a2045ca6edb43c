/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flows, and what is kept of them in front of their tables. */
#ifndef AMPHORA_LAYOUT_FLOWS_H
#define AMPHORA_LAYOUT_FLOWS_H

#include "layout_control.h"

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

#endif
