/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a packet goes next: the kernel's own routing answer, asked for once per flow and generation. */
#ifndef AMPHORA_NEXTHOP_H
#define AMPHORA_NEXTHOP_H

#include "flows.h"

#ifndef AF_INET
#define AF_INET 2
#define AF_INET6 10
#endif

enum next_hop {
	HOP_OK,
	HOP_UNRESOLVED, /* no neighbour yet: the kernel forwards this one and resolves */
	HOP_NONE,	/* no route */
	HOP_LOCAL,	/* an address of ours */
};

/*
 * Fills w->egress, w->mtu, w->dmac and w->smac. A zero source means: by the main table. With the
 * VIP as source the policy rule "from VIP" applies, as it does for the kernel's own answers.
 */
static __always_inline int find_next_hop(hook_ctx *ctx, struct work *w, const struct ip_addr *src,
					 const struct ip_addr *dst, const __u8 family)
{
	struct bpf_fib_lookup *fib = &w->fib;
	long result;

	__builtin_memset(fib, 0, sizeof(*fib));
	fib->ifindex = w->ifindex;
	fib->l4_protocol = w->protocol;
	fib->tot_len = 1; /* makes the kernel report the route's MTU */
	if (family == FAMILY_4) {
		fib->family = AF_INET;
		fib->ipv4_src = src ? src->w[3] : 0;
		fib->ipv4_dst = dst->w[3];
	} else {
		fib->family = AF_INET6;
		if (src)
			__builtin_memcpy(fib->ipv6_src, src, 16);
		__builtin_memcpy(fib->ipv6_dst, dst, 16);
	}
	result = hook_fib_lookup(ctx, fib);
	w->egress = fib->ifindex;
	w->mtu = fib->mtu_result;
	__builtin_memcpy(w->dmac, fib->dmac, 6);
	__builtin_memcpy(w->smac, fib->smac, 6);
	if (result == BPF_FIB_LKUP_RET_SUCCESS)
		return HOP_OK;
	if (result == BPF_FIB_LKUP_RET_NO_NEIGH)
		return HOP_UNRESOLVED;
	if (result == BPF_FIB_LKUP_RET_NOT_FWDED)
		return HOP_LOCAL;
	return HOP_NONE;
}

/* Brings a flow's cached next hop up to date. Returns enum next_hop. */
static __always_inline int refresh_next_hop(hook_ctx *ctx, struct work *w, struct flow_common *f, __u32 generation,
					    const __u8 family)
{
	int hop;

	if (family == FAMILY_4) {
		const struct flow4 *v = (const void *)f - COMMON4;

		map_ipv4(&w->hop_src, v->new_saddr);
		map_ipv4(&w->hop_dst, v->new_daddr);
	} else {
		const struct flow6 *v = (const void *)f - COMMON6;

		__builtin_memcpy(&w->hop_src, v->new_saddr, 16);
		__builtin_memcpy(&w->hop_dst, v->new_daddr, 16);
	}
	/* Towards clients the source is the VIP and policy routing counts; towards members it is a SNAT address. */
	hop = find_next_hop(ctx, w, f->state & FLOW_FROM_CLIENT ? NULL : &w->hop_src, &w->hop_dst, family);
	if (hop != HOP_OK)
		return hop;
	__builtin_memcpy(f->dmac, w->dmac, 6);
	__builtin_memcpy(f->smac, w->smac, 6);
	f->ifindex = w->egress;
	f->mtu = w->mtu;
	/* The tag goes along on the interface that it came in by, and nowhere else. */
	f->vlan = w->tagged && w->egress == w->ifindex ? w->vlan : 0;
	f->generation = generation;
	return HOP_OK;
}

#endif
