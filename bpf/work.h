/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the slow path knows of the packet at hand. One per CPU: the stack is too small for it. */
#ifndef AMPHORA_WORK_H
#define AMPHORA_WORK_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "layout.h"

enum fragment_kind {
	FRAGMENT_NONE,
	FRAGMENT_FIRST, /* carries the ports */
	FRAGMENT_LATER,
};

enum tcp_flag {
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
	TCP_ACK = 16,
};

#define FAMILY_4 4
#define FAMILY_6 6

#define QUOTE_BYTES 128

/* The part of an ICMP error's quoted packet that is rewritten. */
struct quoted {
	__u32 ip; /* offset of its IP header */
	__u32 l4;
	__u32 end; /* of the packet that brings it */
	__u32 protocol;
	struct ip_addr src, dst;
	__be16 ports[4]; /* source, destination, then what the protocol has there */
	__be32 now[8];	 /* its addresses as its sender knows them */
};

/* Keeps a value in one register, so that the bound which was checked is the bound that is used. */
#define PIN_REGISTER(value) asm volatile("" : "+r"(value))

struct work {
	/* the packet */
	struct ip_addr src, dst;
	__be16 sport, dport;
	__u8 protocol;
	__u8 family;
	__u8 tcp_flags;
	__u8 fragment; /* enum fragment_kind */
	__u16 l3, l4;  /* offsets from the packet's start */
	__u16 vlan;    /* TCI, if tagged */
	__u8 tagged;
	__u8 ttl;
	__u32 length;  /* IP packet, header included */
	__u32 payload; /* behind the L4 header */
	__be32 fragment_id;
	__u16 mss;    /* of a SYN whose first option it is, else 0 */
	__u32 ifindex; /* ingress */

	/* a new flow in the making */
	__u32 listener, pool, member;
	__u32 listener_flags;
	__u32 vip_ifindex;
	__u32 exclude; /* member that has just refused this client, or NO_MEMBER */
	__u32 retries;
	__be16 snat_port;
	__u16 address_delta; /* what client -> member changes in the addresses */
	struct ip_addr snat;
	struct member chosen;
	__u32 egress;
	__u32 mtu;
	__u8 dmac[6], smac[6];

	/* keys and values of both halves; IPv4 uses the fronts */
	union {
		struct flow_key4 key4;
		struct flow_key6 key6;
	} key, client_key, member_key;
	union {
		struct flow4 f4;
		struct flow6 f6;
	} client_half, member_half;

	/* keys of lookups that happen once per flow */
	union {
		struct service_key service_key;
		struct allowed_key allowed_key;
		struct fragment_key fragment_key;
		struct persist_key persist_key;
	};
	struct fragment first_fragment;
	struct bpf_fib_lookup fib;
	struct ip_addr hop_src, hop_dst;
	__u8 quote[QUOTE_BYTES];
	struct quoted inner;

	/* the end of a flow */
	struct flow_event event;
	__u32 last_rx, last_tx; /* payload of the packet that ends it, not yet counted */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct work);
} scratch SEC(".maps");

static __always_inline struct work *get_work(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}

static __always_inline void map_ipv4(struct ip_addr *to, __be32 address)
{
	to->w[0] = 0;
	to->w[1] = 0;
	to->w[2] = bpf_htonl(0xffff);
	to->w[3] = address;
}

static __always_inline int is_zero(const struct ip_addr *a)
{
	return !(a->w[0] | a->w[1] | a->w[2] | a->w[3]);
}

static __always_inline int same_address(const struct ip_addr *a, const struct ip_addr *b)
{
	return !((a->w[0] ^ b->w[0]) | (a->w[1] ^ b->w[1]) | (a->w[2] ^ b->w[2]) | (a->w[3] ^ b->w[3]));
}

/* Bit of an address in control.local_bitmap; user space computes the same. */
static __always_inline __u32 local_bit(__u32 folded)
{
	return (folded * 0x9E3779B1u) >> 22;
}

static __always_inline int is_local_bit(const struct control *ctl, __u32 bit)
{
	return (ctl->local_bitmap[(bit >> 6) & (VIP_BITMAP_WORDS - 1)] >> (bit & 63)) & 1;
}

static __always_inline int may_be_ours(const struct control *ctl, const struct ip_addr *a)
{
	return is_local_bit(ctl, local_bit(a->w[0] ^ a->w[1] ^ a->w[2] ^ a->w[3]));
}

#endif
