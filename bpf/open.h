/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A new flow: access list, guard, limit, choice, port, both halves. Everything here runs once per flow. */
#ifndef AMPHORA_OPEN_H
#define AMPHORA_OPEN_H

#include "forward.h"
#include "halves.h"
#include "hops.h"
#include "recent.h"
#include "select.h"
#include "snat.h"

static __always_inline int is_allowed(struct work *w)
{
	w->allowed_key.prefixlen = 160;
	w->allowed_key.listener = bpf_htonl(w->listener);
	w->allowed_key.source = w->src;
	return bpf_map_lookup_elem(&allowed, &w->allowed_key) != NULL;
}

/* New flows per CPU and stamp unit: above the limit, listeners over their share lose packets. */
static __always_inline int is_guarded(const struct control *ctl, __u32 number)
{
	struct listener_counters *lc = bpf_map_lookup_elem(&listener_counters, &number);
	__u32 zero = 0, now = now_stamp();
	struct guard *g = bpf_map_lookup_elem(&guard, &zero);

	if (!g || !lc || !ctl->guard_limit)
		return 0;
	if (g->stamp != now) {
		g->stamp = now;
		g->count = 0;
	}
	if (lc->guard_stamp != now) {
		lc->guard_stamp = now;
		lc->guard_count = 0;
	}
	g->count++;
	lc->guard_count++;
	if (g->count <= ctl->guard_limit || lc->guard_count <= ctl->guard_share)
		return 0;
	lc->dropped_guard++;
	count_reason(REASON_GUARD);
	return 1;
}

/* Nobody serves it: say so, as the client of a closed port would hear. */
static __always_inline int refuse(hook_ctx *ctx, struct work *w, const __u8 family)
{
	/* Without a handshake each datagram would have a line. */
	if (w->listener_flags & LISTENER_LOG && w->protocol != IPPROTO_UDP)
		log_refusal(EVENT_HOW(FLOW_EVENT_REFUSE, w->protocol, FLOW_END_NO_MEMBER));
	if (w->protocol == IPPROTO_TCP)
		return send_rst(ctx, family);
	if (w->protocol == IPPROTO_UDP)
		return send_icmp(ctx, ICMP_REPLY_UNREACHABLE, 0, family);
	return VERDICT_DROP;
}

/* Addresses of the member half, and what the way there changes. */
static __always_inline void fill_addresses(struct work *w, const __u8 family)
{
	__u64 sum = 0;
	int i;

	if (family == FAMILY_4) {
		struct flow4 *m = &w->member_half.f4;

		m->new_saddr = w->dst.w[3];
		m->new_daddr = w->src.w[3];
		sum = diff32(w->src.w[3], w->snat.w[3]) + diff32(w->dst.w[3], w->chosen.address.w[3]);
	} else {
		struct flow6 *m = &w->member_half.f6;

#pragma unroll
		for (i = 0; i < 4; i++) {
			m->new_saddr[i] = w->dst.w[i];
			m->new_daddr[i] = w->src.w[i];
			sum += diff32(w->src.w[i], w->snat.w[i]) + diff32(w->dst.w[i], w->chosen.address.w[i]);
		}
	}
	w->address_delta = fold64(sum);
}

/*
 * Writes the member half, which holds the SNAT port. Its next hop is left open (generation 0): a SYN
 * of a flood never pays for it.
 */
static __always_inline int write_member_half(struct work *w, const struct control *ctl, const __u8 family)
{
	struct flow_common *m = (void *)&w->member_half + (family == FAMILY_4 ? COMMON4 : COMMON6);

	fill_addresses(w, family);
	m->new_sport = w->dport;
	m->new_dport = w->sport;
	m->ip_delta = fold64((__u64)(__u16)~w->address_delta + TTL_STEP_DELTA);
	m->ifindex = 0;
	m->member = w->member;
	m->mtu = w->listener_flags & LISTENER_COUNT_PACKETS ? w->length : w->payload; /* see build_client_half() */
	m->vlan = 0;
	m->stamp = now_stamp();
	m->generation = 0;
	m->state = w->retries << RETRIES_SHIFT | (w->listener_flags & LISTENER_COUNT_PACKETS ? FLOW_COUNT_PACKETS : 0);
	m->created = bpf_jiffies64();
	m->bytes = 0;
	return claim_port(w, ctl, family);
}

/* Source towards the member: the VIP on its own interface, else that interface's address, which w->snat holds. */
static __always_inline int choose_source(struct work *w)
{
	if (w->vip_ifindex && w->vip_ifindex == w->egress)
		w->snat = w->dst;
	return is_zero(&w->snat) ? -1 : 0;
}

/* Opens a flow for the packet in `w`, whose service is known to exist. w->key is the packet's. */
static __always_inline int open_flow(hook_ctx *ctx, struct work *w, const __u8 family)
{
	struct control *ctl = get_control();
	__u32 number = w->listener;
	struct listener *l = bpf_map_lookup_elem(&listeners, &number);
	struct listener_counters *lc = bpf_map_lookup_elem(&listener_counters, &number);
	struct listener_state *ls = bpf_map_lookup_elem(&listener_state, &number);
	struct flow_common *c;
	struct member *chosen;
	int hop;

	if (!ctl || !l || !lc || !ls || !(l->flags & LISTENER_LIVE))
		return VERDICT_PASS;
	w->listener_flags = l->flags;
	w->pool = l->pool;
	if (l->flags & LISTENER_ACL && !is_allowed(w)) {
		lc->refused_acl++;
		count_reason(REASON_ACL);
		return VERDICT_DROP;
	}
	if (w->protocol != IPPROTO_TCP && is_guarded(ctl, w->listener))
		return VERDICT_DROP;
	if (l->connection_limit && ls->open >= l->connection_limit) {
		lc->refused_limit++;
		count_reason(REASON_LIMIT);
		return VERDICT_DROP; /* the client repeats, as it would wait in an accept queue */
	}
	if (!owns_vip(ctx, w, ctl, family)) {
		count_reason(REASON_VIP_NOT_LOCAL);
		return VERDICT_PASS;
	}
	w->member = w->pool == NO_POOL ? NO_MEMBER : select_member();
	number = w->member;
	chosen = number == NO_MEMBER ? NULL : bpf_map_lookup_elem(&members, &number);
	if (!chosen) {
		lc->refused_no_member++;
		count_reason(REASON_NO_MEMBER);
		return refuse(ctx, w, family);
	}
	w->chosen = *chosen;
	hop = find_member_hop(ctx, w, ctl, family);
	if ((hop != HOP_OK && hop != HOP_UNRESOLVED) || choose_source(w)) {
		count_reason(REASON_NO_ROUTE);
		return refuse(ctx, w, family);
	}
	if (write_member_half(w, ctl, family)) {
		lc->refused_no_port++;
		count_reason(REASON_NO_PORT);
		return refuse(ctx, w, family);
	}
	if (w->protocol == IPPROTO_TCP)
		remember_client(w, family);
	if (w->protocol != IPPROTO_TCP) {
		struct member_counters *mc = bpf_map_lookup_elem(&member_counters, &number);

		lc->flows++;
		if (mc)
			mc->flows++;
	}
	count_reason(REASON_NEW_FLOW);
	c = build_client_half(w, family);
	if (hop == HOP_OK) {
		__builtin_memcpy(c->dmac, w->dmac, 12);
		c->ifindex = w->egress;
		c->mtu = w->mtu;
		c->vlan = w->tagged && w->egress == w->ifindex ? w->vlan : 0;
		c->generation = ctl->generation;
	}
	/* No handshake would write it later, and one-way UDP has to stay where it is. */
	if (w->protocol != IPPROTO_TCP && insert_half_open(&w->client_key, &w->client_half, BPF_ANY, family))
		count_reason(REASON_ERROR);
	return forward(ctx, w, c, family);
}

#endif
