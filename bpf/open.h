/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A new flow: access list, guard, limit, choice, port, both halves. Everything here runs once per flow. */
#ifndef AMPHORA_OPEN_H
#define AMPHORA_OPEN_H

#include "forward.h"
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
static __always_inline int is_guarded(const struct control *ctl, struct listener_counters *lc)
{
	__u32 zero = 0, now = now_stamp();
	struct guard *g = bpf_map_lookup_elem(&guard, &zero);

	if (!g || !ctl->guard_limit)
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
	return g->count > ctl->guard_limit && lc->guard_count > ctl->guard_share;
}

/* Nobody serves it: say so, as the client of a closed port would hear. */
static __always_inline int refuse(hook_ctx *ctx, struct work *w, const __u8 family)
{
	if (w->protocol == IPPROTO_TCP)
		return send_rst(ctx, family);
	if (w->protocol == IPPROTO_UDP)
		return send_icmp(ctx, ICMP_REPLY_UNREACHABLE, 0, family);
	return VERDICT_DROP;
}

static __always_inline void fill_halves4(struct work *w, __u16 *addresses)
{
	struct flow4 *c = &w->client_half.f4, *m = &w->member_half.f4;

	c->new_saddr = w->snat.w[3];
	c->new_daddr = w->chosen.address.w[3];
	m->new_saddr = w->dst.w[3];
	m->new_daddr = w->src.w[3];
	*addresses = fold64(diff32(w->src.w[3], c->new_saddr) + diff32(w->dst.w[3], c->new_daddr));
}

static __always_inline void fill_halves6(struct work *w, __u16 *addresses)
{
	struct flow6 *c = &w->client_half.f6, *m = &w->member_half.f6;
	__u64 sum = 0;
	int i;

#pragma unroll
	for (i = 0; i < 4; i++) {
		c->new_saddr[i] = w->snat.w[i];
		c->new_daddr[i] = w->chosen.address.w[i];
		m->new_saddr[i] = w->dst.w[i];
		m->new_daddr[i] = w->src.w[i];
		sum += diff32(w->src.w[i], w->snat.w[i]) + diff32(w->dst.w[i], w->chosen.address.w[i]);
	}
	*addresses = fold64(sum);
}

/* Everything but the SNAT port, which the claim finds. */
static __always_inline void fill_common(struct work *w, struct flow_common *f, __u32 state)
{
	f->member = w->member;
	f->stamp = now_stamp();
	f->generation = 0;
	f->created = bpf_jiffies64();
	f->bytes = 0;
	f->mtu = 0;
	f->vlan = 0;
	f->ifindex = 0;
	f->state = state | w->retries << RETRIES_SHIFT |
		   (w->listener_flags & LISTENER_COUNT_PACKETS ? FLOW_COUNT_PACKETS : 0);
}

/* The reply's next hop is left open (generation 0): a SYN of a flood never pays for it. */
static __always_inline int write_halves(struct work *w, const struct control *ctl, int hop, const __u8 family)
{
	struct flow_common *c = (void *)&w->client_half + (family == FAMILY_4 ? COMMON4 : COMMON6);
	struct flow_common *m = (void *)&w->member_half + (family == FAMILY_4 ? COMMON4 : COMMON6);
	__u16 addresses, ports;

	if (family == FAMILY_4)
		fill_halves4(w, &addresses);
	else
		fill_halves6(w, &addresses);
	fill_common(w, c, FLOW_FROM_CLIENT);
	fill_common(w, m, 0);
	m->new_sport = w->dport;
	m->new_dport = w->sport;
	m->ip_delta = fold64((__u64)(__u16)~addresses + TTL_STEP_DELTA);
	c->ip_delta = fold64((__u64)addresses + TTL_STEP_DELTA);
	c->new_dport = w->chosen.port;
	m->l4_delta = 0;
	if (claim_port(w, ctl, family))
		return -1;
	c->new_sport = w->snat_port;
	ports = port_delta(w->sport, w->dport, c);
	c->l4_delta = fold64((__u64)addresses + ports);
	if (hop == HOP_OK) {
		__builtin_memcpy(c->dmac, w->dmac, 6);
		__builtin_memcpy(c->smac, w->smac, 6);
		c->ifindex = w->egress;
		c->mtu = w->mtu;
		c->vlan = w->tagged && w->egress == w->ifindex ? w->vlan : 0;
		c->generation = ctl->generation;
	}
	/* The member half went in before its checksum delta was known: it depends on the port. */
	m = find_half_open(&w->member_key, family);
	if (!m)
		return -1;
	m->l4_delta = ~c->l4_delta;
	if (insert_half_open(&w->key, &w->client_half, BPF_ANY, family)) {
		delete_half_open(&w->member_key, family);
		return -1;
	}
	return 0;
}

/* Source towards the member: the VIP on its own interface, else that interface's address. */
static __always_inline int choose_source(struct work *w, const __u8 family)
{
	__u32 number = w->egress;
	struct interface *i;

	if (w->vip_ifindex && w->vip_ifindex == w->egress) {
		w->snat = w->dst;
		return 0;
	}
	i = bpf_map_lookup_elem(&interfaces, &number);
	if (!i)
		return -1;
	w->snat = family == FAMILY_4 ? i->snat4 : i->snat6;
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
	struct flow_common *f;
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
	if (is_guarded(ctl, lc)) {
		lc->dropped_guard++;
		count_reason(REASON_GUARD);
		return VERDICT_DROP;
	}
	if (l->connection_limit && ls->open >= l->connection_limit) {
		lc->refused_limit++;
		count_reason(REASON_LIMIT);
		return VERDICT_DROP; /* the client repeats, as it would wait in an accept queue */
	}
	/* Only while the kernel owns the VIP: on a backup amphora the same maps are filled, and silent. */
	if (find_next_hop(ctx, w, NULL, &w->dst, family) != HOP_LOCAL) {
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
	hop = find_next_hop(ctx, w, NULL, &w->chosen.address, family);
	if (hop == HOP_NONE || hop == HOP_LOCAL || choose_source(w, family)) {
		count_reason(REASON_NO_ROUTE);
		return refuse(ctx, w, family);
	}
	if (write_halves(w, ctl, hop, family)) {
		lc->refused_no_port++;
		count_reason(REASON_NO_PORT);
		return refuse(ctx, w, family);
	}
	if (w->protocol != IPPROTO_TCP) {
		struct member_counters *mc = bpf_map_lookup_elem(&member_counters, &number);

		lc->flows++;
		if (mc)
			mc->flows++;
	}
	count_reason(REASON_NEW_FLOW);
	f = find_half_open(&w->key, family);
	if (!f)
		return VERDICT_DROP;
	return forward(ctx, w, f, family);
}

#endif
