/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The client half as the mirror of the member half: what one way does, the other undoes. */
#ifndef AMPHORA_HALVES_H
#define AMPHORA_HALVES_H

#include "checksum.h"
#include "flows.h"

/*
 * From w->member_key and w->member_half makes w->client_key and w->client_half. Until its next hop is
 * known (generation 0) the member half keeps the size of the client's first packet where the MTU
 * will be. Returns the new half's tail.
 */
static __always_inline struct flow_common *build_client_half(struct work *w, const __u8 family)
{
	const struct flow_common *m = (void *)&w->member_half + (family == FAMILY_4 ? COMMON4 : COMMON6);
	struct flow_common *c = (void *)&w->client_half + (family == FAMILY_4 ? COMMON4 : COMMON6);

	set_twin_key(&w->client_key, m, w->protocol, family);
	if (family == FAMILY_4) {
		w->client_half.f4.new_saddr = w->member_key.key4.daddr;
		w->client_half.f4.new_daddr = w->member_key.key4.saddr;
		c->new_sport = w->member_key.key4.dport;
		c->new_dport = w->member_key.key4.sport;
	} else {
		__builtin_memcpy(w->client_half.f6.new_saddr, w->member_key.key6.daddr, 16);
		__builtin_memcpy(w->client_half.f6.new_daddr, w->member_key.key6.saddr, 16);
		c->new_sport = w->member_key.key6.dport;
		c->new_dport = w->member_key.key6.sport;
	}
	/* m = ~addresses + step, c = addresses + step */
	c->ip_delta = fold64((__u64)(__u16)~m->ip_delta + TTL_STEP_DELTA + TTL_STEP_DELTA);
	c->l4_delta = ~m->l4_delta;
	c->ifindex = 0;
	c->member = m->member;
	c->mtu = 0;
	c->vlan = 0;
	c->stamp = now_stamp();
	c->generation = 0;
	c->state = m->state | FLOW_FROM_CLIENT;
	c->created = m->created;
	c->bytes = m->generation ? 0 : m->mtu;
	return c;
}

#endif
