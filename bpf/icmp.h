/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP errors about our translated packets go to the other end, with the quoted packet as that end
 * sent it, so that path MTU discovery works through the VIP (RFC 5508, 4.2).
 */
#ifndef AMPHORA_ICMP_H
#define AMPHORA_ICMP_H

#include "halfopen.h"

static __always_inline int is_icmp_error(const struct work *w, __u8 type)
{
	if (w->family == FAMILY_4)
		return type == 3 || type == 11 || type == 12;
	return type >= 1 && type <= 4;
}

/* The member cannot be reached at all; a packet that was too big is another matter. */
static __always_inline int is_unreachable(hook_ctx *ctx, const struct work *w)
{
	__u8 head[2];

	if (load_bytes(ctx, w->l4, head, 2))
		return 0;
	return w->family == FAMILY_4 ? head[0] == 3 && head[1] != 4 : head[0] == 1;
}

static __always_inline int read_quoted(hook_ctx *ctx, struct work *w, struct quoted *q, const __u8 family)
{
	q->ip = w->l4 + 8;
	q->end = w->l3 + w->length;
	if (family == FAMILY_4) {
		struct iphdr *ip = (void *)w->quote;

		if (load_bytes(ctx, q->ip, ip, sizeof(*ip)) || ip->version != 4 || ip->ihl < 5 ||
		    ip->frag_off & bpf_htons(IP_OFFSET_MASK))
			return -1;
		q->l4 = q->ip + ip->ihl * 4;
		q->protocol = ip->protocol;
		map_ipv4(&q->src, ip->saddr);
		map_ipv4(&q->dst, ip->daddr);
	} else {
		struct ipv6hdr *ip = (void *)w->quote;

		if (load_bytes(ctx, q->ip, ip, sizeof(*ip)) || ip->version != 6)
			return -1;
		q->l4 = q->ip + sizeof(*ip);
		q->protocol = ip->nexthdr;
		__builtin_memcpy(&q->src, &ip->saddr, 16);
		__builtin_memcpy(&q->dst, &ip->daddr, 16);
		if (q->protocol == IPPROTO_FRAGMENT) {
			struct extension_header *extension = (void *)(ip + 1);

			if (load_bytes(ctx, q->l4, extension, sizeof(*extension)) ||
			    extension->offset & bpf_htons(0xfff8))
				return -1;
			q->protocol = extension->next;
			q->l4 += 8;
		}
	}
	if (q->protocol != IPPROTO_TCP && q->protocol != IPPROTO_UDP && q->protocol != IPPROTO_SCTP)
		return -1;
	/* What lies behind the packet is in its frame, but not in its checksum. */
	if (q->l4 + 8 > q->end || !same_address(&q->src, &w->dst))
		return -1;
	return load_bytes(ctx, q->l4, q->ports, 8);
}

/* Writes the quoted packet back as its sender knows it. Adds what changed to *sum, for the ICMP checksum. */
static __always_inline int rewrite_quoted(hook_ctx *ctx, struct quoted *q, const struct flow_common *f, __u64 *sum,
					  const __u8 family)
{
	__u64 addresses = 0, ports = 0;
	__be16 now[2] = { f->new_dport, f->new_sport };
	__u16 check;
	__u32 check_at = q->l4 + (q->protocol == IPPROTO_TCP ? CHECK_OFFSET_TCP : CHECK_OFFSET_UDP);
	int i;

	if (family == FAMILY_4) {
		const struct flow4 *v = (const void *)f - COMMON4;

		q->now[0] = v->new_daddr;
		q->now[1] = v->new_saddr;
		addresses = diff32(q->src.w[3], q->now[0]) + diff32(q->dst.w[3], q->now[1]);
		if (load_bytes(ctx, q->ip + 10, &check, 2))
			return -1;
		*sum += (__u16)~check;
		check = checksum_add(check, fold64(addresses));
		*sum += check;
		if (store_bytes(ctx, q->ip + 10, &check, 2) || store_bytes(ctx, q->ip + 12, q->now, 8))
			return -1;
	} else {
		const struct flow6 *v = (const void *)f - COMMON6;

		__builtin_memcpy(q->now, v->new_daddr, 16);
		__builtin_memcpy(q->now + 4, v->new_saddr, 16);
#pragma unroll
		for (i = 0; i < 4; i++)
			addresses += diff32(q->src.w[i], q->now[i]) + diff32(q->dst.w[i], q->now[i + 4]);
		if (store_bytes(ctx, q->ip + 8, q->now, 32))
			return -1;
	}
	*sum += fold64(addresses);
	ports = (__u64)(__u16)~q->ports[0] + now[0] + (__u16)~q->ports[1] + now[1];
	if (store_bytes(ctx, q->l4, now, 4))
		return -1;
	*sum += ports;
	if (q->protocol == IPPROTO_SCTP)
		return 0;
	/* The quoted checksum may be cut off, or absent (UDP); if it is there it stays consistent. */
	if (check_at + 2 > q->end || load_bytes(ctx, check_at, &check, 2) || (q->protocol == IPPROTO_UDP && !check))
		return 0;
	*sum += (__u16)~check;
	check = checksum_add(check, fold64(fold64(addresses) + ports));
	*sum += check;
	return store_bytes(ctx, check_at, &check, 2);
}

/* The outer packet: from the address that the receiver talks to, to the receiver. */
static __always_inline int rewrite_outer(hook_ctx *ctx, struct work *w, struct flow_common *f, __u64 sum, int up,
					 const __u8 family)
{
	__u32 l3 = w->l3, l4 = w->l4;
	void *data = packet_start(ctx), *end = packet_end(ctx);
	__u64 addresses = 0;
	__u16 *check;
	int i;

	PIN_REGISTER(l3);
	PIN_REGISTER(l4);
	if (l3 > ETH_HLEN + 4 || l4 > MAX_L4_OFFSET || data + 12 > end)
		return -1;
	if (!up)
		rewrite_macs(data, f);
	if (family == FAMILY_4) {
		struct iphdr *ip = data + l3;
		const struct flow4 *v = (const void *)f - COMMON4;

		if ((void *)(ip + 1) > end)
			return -1;
		addresses = diff32(w->src.w[3], v->new_saddr) + diff32(w->dst.w[3], v->new_daddr);
		*(__u64 *)&ip->saddr = *(const __u64 *)&v->new_saddr;
		ip->ttl--;
		ip->check = checksum_add(ip->check, fold64(fold64(addresses) + (__u64)TTL_STEP_DELTA));
	} else {
		struct ipv6hdr *ip = data + l3;
		const struct flow6 *v = (const void *)f - COMMON6;

		if ((void *)(ip + 1) > end)
			return -1;
#pragma unroll
		for (i = 0; i < 4; i++)
			addresses += diff32(w->src.w[i], v->new_saddr[i]) + diff32(w->dst.w[i], v->new_daddr[i]);
		__builtin_memcpy(&ip->saddr, v->new_saddr, 32);
		ip->hop_limit--;
		sum += fold64(addresses); /* ICMPv6 covers a pseudo header */
	}
	check = data + l4 + 2;
	if ((void *)(check + 1) > end)
		return -1;
	*check = checksum_add(*check, fold64(sum));
	return 0;
}

/* An ICMP packet: translated if it is an error about one of our flows, else the kernel's. */
static __always_inline int handle_icmp(hook_ctx *ctx, struct work *w, const __u8 family)
{
	struct control *ctl = get_control();
	struct flow_common *f;
	struct quoted *q = &w->inner;
	__u64 sum = 0;
	__u32 ifindex;
	__u16 vlan;
	__u8 type;
	int up = 0, hop;

	if (!ctl || w->fragment != FRAGMENT_NONE || load_bytes(ctx, w->l4, &type, 1) || !is_icmp_error(w, type))
		return VERDICT_PASS;
	if (read_quoted(ctx, w, q, family))
		return VERDICT_PASS;
	/* The quote left us; the packets that it answers come the other way. */
	set_key(&w->key, &q->dst, &q->src, q->ports[1], q->ports[0], q->protocol, family);
	f = find_flow(&w->key, family);
	if (!f) {
		f = find_half_open(&w->key, family);
		if (f && q->protocol == IPPROTO_TCP && is_unreachable(ctx, w) && swallows_refusal(f))
			return VERDICT_DROP;
	}
	if (!f || w->ttl <= 1)
		return VERDICT_PASS;
	if (f->generation != ctl->generation) {
		hop = refresh_next_hop(ctx, w, f, ctl->generation, family);
		up = hop == HOP_UNRESOLVED;
		if (hop != HOP_OK && !up) {
			count_reason(REASON_NO_ROUTE);
			return VERDICT_DROP;
		}
	}
	ifindex = f->ifindex;
	vlan = f->vlan;
	if (rewrite_quoted(ctx, q, f, &sum, family) || rewrite_outer(ctx, w, f, sum, up, family)) {
		count_reason(REASON_ERROR);
		return VERDICT_DROP;
	}
	count_reason(REASON_ICMP_TRANSLATED);
	if (up)
		return VERDICT_PASS;
	if (set_vlan(ctx, w, vlan)) {
		count_reason(REASON_ERROR);
		return VERDICT_DROP;
	}
	return send_on(ctx, ifindex);
}

__noinline int handle_icmp4(hook_ctx *ctx)
{
	struct work *w = get_work();

	return w ? handle_icmp(ctx, w, FAMILY_4) : VERDICT_PASS;
}

__noinline int handle_icmp6(hook_ctx *ctx)
{
	struct work *w = get_work();

	return w ? handle_icmp(ctx, w, FAMILY_6) : VERDICT_PASS;
}

#endif
