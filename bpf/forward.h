/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet of a known flow, in full generality. The plain case has a shorter way in path.h. */
#ifndef AMPHORA_FORWARD_H
#define AMPHORA_FORWARD_H

#include "nexthop.h"
#include "parse.h"
#include "rewrite.h"
#include "reply.h"

static __always_inline void count_packet(__u32 member_number, int from_client, __u64 bytes)
{
	struct member_counters *c = bpf_map_lookup_elem(&member_counters, &member_number);

	if (!c)
		return;
	if (from_client) {
		c->rx_packets++;
		c->rx_bytes += bytes;
	} else {
		c->tx_packets++;
		c->tx_bytes += bytes;
	}
}

static __always_inline void touch_flow(struct flow_common *f, __u64 bytes)
{
	__u32 stamp = now_stamp();

	if (f->stamp != stamp)
		f->stamp = stamp;
	f->bytes += bytes;
	count_packet(f->member, f->state & FLOW_FROM_CLIENT, bytes);
}

static __always_inline __u32 ingress_mtu(const struct work *w, const struct control *ctl)
{
	__u32 number = w->ifindex, at = number & 63;
	struct link *l = bpf_map_lookup_elem(&links, &at);
	struct interface *i;

	if (!l)
		return 0;
	if (l->ifindex == number && l->generation == ctl->generation)
		return l->mtu;
	i = bpf_map_lookup_elem(&interfaces, &number);
	l->ifindex = number;
	l->mtu = i ? i->mtu : 0;
	l->generation = ctl->generation;
	return l->mtu;
}

/* Smallest MTU of the two interfaces that the flow touches. */
static __always_inline __u32 path_mtu(const struct work *w, const struct flow_common *f, const struct control *ctl)
{
	__u32 in = ingress_mtu(w, ctl), out = f->mtu;

	return in && (!out || in < out) ? in : out;
}

#define TCP_OPTION_MSS 2
#define TCP_OPTION_NOP 1
#define TCP_OPTIONS_MAX 40

/* Offset of the MSS option's value from the packet's start, or 0. */
static __always_inline __u32 find_mss(hook_ctx *ctx, struct work *w)
{
	__u32 length = w->length - w->payload - (w->l4 - w->l3) - 20, at = 0;
	int i;

	if (length < 4 || length > TCP_OPTIONS_MAX)
		return 0;
	if (load_bytes(ctx, w->l4 + 20, w->quote, length))
		return 0;
	for (i = 0; i < 10; i++) {
		__u8 kind, size;

		if (at + 4 > length || at > TCP_OPTIONS_MAX)
			return 0;
		kind = w->quote[at];
		if (kind == TCP_OPTION_MSS)
			return w->quote[at + 1] == 4 ? w->l4 + 20 + at + 2 : 0;
		if (!kind)
			return 0;
		size = kind == TCP_OPTION_NOP ? 1 : w->quote[at + 1];
		if (!size)
			return 0;
		at += size;
	}
	return 0;
}

/* Lowers the MSS of a SYN to what fits the narrower of the two links (RFC 4459, 3.2). */
static __always_inline void clamp_mss(hook_ctx *ctx, struct work *w, const struct flow_common *f,
				      const struct control *ctl, const __u8 family)
{
	__u32 headers = family == FAMILY_4 ? 40 : 60, mtu = path_mtu(w, f, ctl), at;
	__u16 mss, wanted; /* network order, as summed */
	__u16 delta;

	if (mtu <= headers || (w->mss && w->mss <= mtu - headers))
		return;
	at = find_mss(ctx, w);
	if (!at || load_bytes(ctx, at, &mss, 2) || bpf_ntohs(mss) <= mtu - headers)
		return;
	wanted = bpf_htons(mtu - headers);
	delta = fold64((__u64)(__u16)~mss + wanted);
	if (at & 1) /* an odd place: the sum sees its bytes the other way round */
		delta = delta << 8 | delta >> 8;
	if (store_bytes(ctx, at, &wanted, 2))
		return;
#ifdef HOOK_XDP
	if (!load_bytes(ctx, w->l4 + CHECK_OFFSET_TCP, &mss, 2)) {
		mss = checksum_add(mss, delta);
		store_bytes(ctx, w->l4 + CHECK_OFFSET_TCP, &mss, 2);
	}
#else
	bpf_l4_csum_replace(ctx, w->l4 + CHECK_OFFSET_TCP, 0, delta, 0);
#endif
}

/* Headers, in place. `up`: the kernel takes it from here, so the link header stays. 0: done. */
static __always_inline int rewrite_packet(hook_ctx *ctx, struct work *w, struct flow_common *f, int up,
					  const __u8 family)
{
	__u32 l3 = w->l3, l4 = w->l4, check = w->protocol == IPPROTO_TCP ? CHECK_OFFSET_TCP : CHECK_OFFSET_UDP;
	int has_l4 = w->fragment != FRAGMENT_LATER;
	void *data, *end;
	__be16 *ports;

	PIN_REGISTER(l3);
	PIN_REGISTER(l4);
	if (l3 > ETH_HLEN + 4 || l4 > MAX_L4_OFFSET)
		return -1;
	data = packet_start(ctx);
	end = packet_end(ctx);
	if (family == FAMILY_4) {
		struct iphdr *ip = data + l3;

		if ((void *)(ip + 1) > end)
			return -1;
		rewrite_ipv4(ip, f);
	} else {
		struct ipv6hdr *ip = data + l3;

		if ((void *)(ip + 1) > end)
			return -1;
		rewrite_ipv6(ip, f);
	}
	if (!up) {
		if (data + 12 > end)
			return -1;
		rewrite_macs(data, f);
	}
	if (!has_l4)
		return 0;
	ports = data + l4;
	if ((void *)(ports + 4) > end)
		return -1;
	ports[0] = f->new_sport;
	ports[1] = f->new_dport;
	if (w->protocol == IPPROTO_SCTP)
		return 0; /* ports are kept and CRC32c covers no address */
#ifdef HOOK_XDP
	{
		__u16 *sum = data + l4 + check;

		if ((void *)(sum + 1) > end)
			return -1;
		rewrite_check(sum, f->l4_delta, w->protocol == IPPROTO_UDP);
	}
#else
	{
		__u64 udp = w->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;

		if (bpf_l4_csum_replace(ctx, l4 + check, 0, address_delta(w, f, family), BPF_F_PSEUDO_HDR | udp) ||
		    bpf_l4_csum_replace(ctx, l4 + check, 0, port_delta(w->sport, w->dport, f), udp))
			return -1;
	}
#endif
	return 0;
}

static __always_inline int is_df(hook_ctx *ctx, const struct work *w)
{
	__be16 frag_off;

	return !load_bytes(ctx, w->l3 + 6, &frag_off, 2) && frag_off & bpf_htons(0x4000);
}

/* The frame leaves with the flow's tag, or without one. 0: done. */
static __always_inline int set_vlan(hook_ctx *ctx, const struct work *w, __u16 vlan)
{
	if (w->tagged ? vlan && w->vlan == vlan : !vlan)
		return 0;
	if (w->tagged && pop_vlan(ctx))
		return -1;
	return vlan ? push_vlan(ctx, vlan) : 0;
}

static __always_inline int forward_known(hook_ctx *ctx, struct work *w, struct flow_common *f, const __u8 family)
{
	struct control *ctl = get_control();
	int up = 0, hop;
	__u32 ifindex;
	__u16 vlan;

	if (!ctl)
		return VERDICT_PASS;
	if (w->ttl <= 1) {
		count_reason(REASON_TTL);
		return send_icmp(ctx, ICMP_REPLY_TTL, 0, family);
	}
	if (f->generation != ctl->generation) {
		hop = refresh_next_hop(ctx, w, f, ctl->generation, family);
		if (hop == HOP_UNRESOLVED) {
			count_reason(REASON_NO_NEIGHBOUR);
			up = 1;
		} else if (hop != HOP_OK) {
			count_reason(REASON_NO_ROUTE);
			return VERDICT_DROP;
		}
	}
	if (!up && f->mtu && w->length > f->mtu && !is_segmented_later(ctx)) {
		count_reason(REASON_TOO_BIG);
		if (family == FAMILY_6 || is_df(ctx, w))
			return send_icmp(ctx, ICMP_REPLY_TOO_BIG, f->mtu, family);
		up = 1; /* the kernel fragments */
	}
	if (w->protocol == IPPROTO_TCP && w->tcp_flags & TCP_SYN && w->fragment == FRAGMENT_NONE)
		clamp_mss(ctx, w, f, ctl, family);
	touch_flow(f, f->state & FLOW_COUNT_PACKETS ? w->length : w->payload);
	ifindex = f->ifindex;
	vlan = f->vlan;
	if (rewrite_packet(ctx, w, f, up, family)) {
		count_reason(REASON_ERROR);
		return VERDICT_DROP;
	}
	if (up)
		return VERDICT_PASS;
	if (set_vlan(ctx, w, vlan)) {
		count_reason(REASON_ERROR);
		return VERDICT_DROP;
	}
	return send_on(ctx, ifindex);
}

/*
 * Global functions: verified once, not for each way that leads here. They fetch the work area anew,
 * since Linux 6.1 takes no argument of a global function for a map key.
 */
__noinline int forward4(hook_ctx *ctx, struct flow4 *f)
{
	struct work *w = get_work();

	return w && f ? forward_known(ctx, w, (void *)f + COMMON4, FAMILY_4) : VERDICT_DROP;
}

__noinline int forward6(hook_ctx *ctx, struct flow6 *f)
{
	struct work *w = get_work();

	return w && f ? forward_known(ctx, w, (void *)f + COMMON6, FAMILY_6) : VERDICT_DROP;
}

static __always_inline int forward(hook_ctx *ctx, struct work *w, struct flow_common *f, const __u8 family)
{
	return family == FAMILY_4 ? forward4(ctx, (void *)f - COMMON4) : forward6(ctx, (void *)f - COMMON6);
}

#endif
