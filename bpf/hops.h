/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Routing answers that many new flows share, kept per CPU: the way to a member, and whether the VIP is ours. */
#ifndef AMPHORA_HOPS_H
#define AMPHORA_HOPS_H

#include "nexthop.h"

/*
 * Only while the kernel owns the VIP: on a backup amphora the same maps are filled, and silent. A yes
 * is believed for one stamp unit, a no never, so that a new master serves its first SYN.
 */
static __always_inline int owns_vip(hook_ctx *ctx, struct work *w, const struct control *ctl, const __u8 family)
{
	__u32 now = now_stamp(), at = local_bit(w->dst.w[0] ^ w->dst.w[1] ^ w->dst.w[2] ^ w->dst.w[3]) & 255;
	struct local_vip *v = bpf_map_lookup_elem(&local_vips, &at);

	if (!v)
		return 0;
	if (v->stamp == now && v->generation == ctl->generation && same_address(&v->address, &w->dst))
		return 1;
	if (find_next_hop(ctx, w, NULL, &w->dst, family) != HOP_LOCAL)
		return 0;
	v->address = w->dst;
	v->stamp = now;
	v->generation = ctl->generation;
	return 1;
}

/* Fills w->egress, mtu, MACs and w->snat (the egress interface's own address). Returns enum next_hop. */
static __always_inline int find_member_hop(hook_ctx *ctx, struct work *w, const struct control *ctl,
					   const __u8 family)
{
	__u32 number = w->member;
	struct hop *h = bpf_map_lookup_elem(&hops, &number);
	struct interface *i;
	int found;

	if (!h)
		return HOP_NONE;
	if (h->generation == ctl->generation && same_address(&h->member, &w->chosen.address)) {
		w->egress = h->ifindex;
		w->mtu = h->mtu;
		w->snat = h->snat;
		__builtin_memcpy(w->dmac, h->dmac, 12);
		return HOP_OK;
	}
	found = find_next_hop(ctx, w, NULL, &w->chosen.address, family);
	if (found != HOP_OK && found != HOP_UNRESOLVED)
		return found;
	number = w->egress;
	i = bpf_map_lookup_elem(&interfaces, &number);
	if (!i)
		return HOP_NONE;
	w->snat = family == FAMILY_4 ? i->snat4 : i->snat6;
	if (found != HOP_OK)
		return found;
	h->member = w->chosen.address;
	h->ifindex = w->egress;
	h->mtu = w->mtu;
	h->snat = w->snat;
	__builtin_memcpy(h->dmac, w->dmac, 12);
	h->generation = ctl->generation;
	return HOP_OK;
}

#endif
