/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Both halves of a half-open flow brought together, and moved into the established table. */
#ifndef AMPHORA_PROMOTE_H
#define AMPHORA_PROMOTE_H

#include "halves.h"

static __always_inline void copy_half(void *to, const struct flow_common *f, const __u8 family)
{
	if (family == FAMILY_4)
		__builtin_memcpy(to, (const void *)f - COMMON4, sizeof(struct flow4));
	else
		__builtin_memcpy(to, (const void *)f - COMMON6, sizeof(struct flow6));
}

/* Both halves into `w`, from the member half, whose key is in w->member_key. */
static __always_inline void collect_from_member(struct work *w, const struct flow_common *f, const __u8 family)
{
	copy_half(&w->member_half, f, family);
	build_client_half(w, family);
}

/* The same from the client half, whose key is the packet's. -1: its twin is gone. */
static __always_inline int collect_from_client(struct work *w, const struct flow_common *f, const __u8 family)
{
	struct flow_common *twin;

	w->client_key = w->key;
	copy_half(&w->client_half, f, family);
	set_twin_key(&w->member_key, f, w->protocol, family);
	twin = find_half_open(&w->member_key, family);
	if (!twin)
		return -1;
	copy_half(&w->member_half, twin, family);
	/* the SNAT port may serve another client by now */
	set_twin_key(&w->client_key, twin, w->protocol, family);
	if (same_key(&w->client_key, &w->key, family))
		return 0;
	w->client_key = w->key;
	return -1;
}

static __always_inline void drop_halves(struct work *w, const __u8 family)
{
	delete_half_open(&w->client_key, family);
	delete_half_open(&w->member_key, family);
}

enum promotion {
	PROMOTED,
	PROMOTE_LOST, /* the member is gone: start again */
	PROMOTE_LIMIT,
	PROMOTE_FULL,
};

/* Moves the pair collected in `w` into the established table; the member half first, as it holds the port. */
static __always_inline int promote(struct work *w, const __u8 family)
{
	const __u32 tail = family == FAMILY_4 ? COMMON4 : COMMON6;
	struct flow_common *c = (void *)&w->client_half + tail, *m = (void *)&w->member_half + tail;
	__u32 number = c->member, member_limit;
	struct member *mb = bpf_map_lookup_elem(&members, &number);
	struct member_counters *mc = bpf_map_lookup_elem(&member_counters, &number);
	struct listener_counters *lc;
	struct listener *l;
	long error;

	if (!mb || !mc)
		return PROMOTE_LOST;
	w->member = number;
	member_limit = mb->connection_limit;
	number = w->listener = mb->listener;
	l = bpf_map_lookup_elem(&listeners, &number);
	lc = bpf_map_lookup_elem(&listener_counters, &number);
	if (!l || !lc)
		return PROMOTE_LOST;
	if (count_open(w->listener, w->member, l->connection_limit, member_limit)) {
		lc->refused_limit++;
		count_reason(REASON_LIMIT);
		return PROMOTE_LIMIT;
	}
	c->state |= FLOW_ANSWERED | FLOW_OPEN;
	m->state |= FLOW_ANSWERED;
	error = insert_flow(&w->member_key, &w->member_half, family);
	if (!error) {
		error = insert_flow(&w->client_key, &w->client_half, family);
		if (error)
			delete_flow(&w->member_key, family);
	}
	if (error) {
		count_closed(w->member);
		if (error == -17 /* EEXIST: the other CPU was first */) {
			drop_halves(w, family);
			return PROMOTED;
		}
		lc->refused_table_full++;
		count_reason(REASON_TABLE_FULL);
		return PROMOTE_FULL;
	}
	drop_halves(w, family);
	if (w->protocol == IPPROTO_TCP) {
		lc->flows++;
		mc->flows++;
	}
	if (wants_event(FLOW_EVENT_OPEN))
		emit_event(&w->client_key, c, NULL, EVENT_HOW(FLOW_EVENT_OPEN, w->protocol, FLOW_END_NONE), family);
	return PROMOTED;
}

#endif
