/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flows that are not established yet. TCP: from the first SYN until the client's ACK of a SYN-ACK.
 * UDP: until the member answers or the client speaks a second time.
 */
#ifndef AMPHORA_HALFOPEN_H
#define AMPHORA_HALFOPEN_H

#include "open.h"

#define MAX_RETRIES 3 /* HAProxy's `retries 3` */

static __always_inline __u32 retries_of(const struct flow_common *f)
{
	return f->state >> RETRIES_SHIFT;
}

/* Copies both halves into `w`: client_key/client_half and member_key/member_half. -1: the twin is gone. */
static __always_inline int collect_halves(struct work *w, struct flow_common *f, const __u8 family)
{
	const __u32 tail = family == FAMILY_4 ? COMMON4 : COMMON6;
	const __u32 size = family == FAMILY_4 ? sizeof(struct flow4) : sizeof(struct flow6);
	int mine_is_client = f->state & FLOW_FROM_CLIENT;
	struct flow_common *twin;

	if (mine_is_client) {
		w->client_key = w->key;
		__builtin_memcpy(&w->client_half, (void *)f - tail, size);
		set_twin_key(&w->member_key, f, w->protocol, family);
		twin = find_half_open(&w->member_key, family);
		if (!twin)
			return -1;
		__builtin_memcpy(&w->member_half, (void *)twin - tail, size);
	} else {
		w->member_key = w->key;
		__builtin_memcpy(&w->member_half, (void *)f - tail, size);
		set_twin_key(&w->client_key, f, w->protocol, family);
		twin = find_half_open(&w->client_key, family);
		if (!twin)
			return -1;
		__builtin_memcpy(&w->client_half, (void *)twin - tail, size);
	}
	return 0;
}

static __always_inline void drop_halves(struct work *w, const __u8 family)
{
	delete_half_open(&w->client_key, family);
	delete_half_open(&w->member_key, family);
}

enum promotion {
	PROMOTED,
	PROMOTE_LOST, /* a half is gone: start again */
	PROMOTE_LIMIT,
	PROMOTE_FULL,
};

/* Moves the pair into the established table; the member half first, as it holds the port. */
static __always_inline int promote(struct work *w, struct flow_common *f, const __u8 family)
{
	const __u32 tail = family == FAMILY_4 ? COMMON4 : COMMON6;
	struct flow_common *c = (void *)&w->client_half + tail, *m = (void *)&w->member_half + tail;
	struct listener_counters *lc;
	struct member_counters *mc;
	__u32 number, member_limit;
	struct listener *l;
	struct member *mb;
	long error;

	if (collect_halves(w, f, family))
		return PROMOTE_LOST;
	number = c->member;
	mb = bpf_map_lookup_elem(&members, &number);
	mc = bpf_map_lookup_elem(&member_counters, &number);
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
	emit_event(FLOW_EVENT_OPEN, &w->client_key, c, 0, family, w->protocol, 0);
	return PROMOTED;
}

/* The member would not, or did not answer: note it, and let the flow choose again, elsewhere. */
static __always_inline void note_refusal(struct work *w, __u32 number)
{
	struct control *ctl = get_control();
	struct member_counters *mc = bpf_map_lookup_elem(&member_counters, &number);
	struct member_state *state = bpf_map_lookup_elem(&member_state, &number);

	if (mc)
		mc->refusals++;
	if (state && ctl)
		state->suspect = (now_stamp() + ctl->suspect_stamps) ?: 1;
}

/* A client's repeated SYN. Returns nonzero when the flow has been given up for a new choice. */
static __always_inline int gives_up(struct work *w, struct flow_common *f, const __u8 family)
{
	struct control *ctl = get_control();
	struct listener_counters *lc;
	__u32 number = w->listener;

	if (!ctl || f->state & FLOW_ANSWERED)
		return 0;
	if (!(f->state & FLOW_RETRY)) {
		if (now_stamp() - f->stamp < ctl->reselect_stamps)
			return 0;
		note_refusal(w, f->member);
	}
	w->exclude = f->member;
	w->retries = retries_of(f) + 1;
	lc = bpf_map_lookup_elem(&listener_counters, &number);
	if (lc)
		lc->reselected++;
	set_twin_key(&w->member_key, f, w->protocol, family);
	delete_half_open(&w->member_key, family);
	delete_half_open(&w->key, family);
	return 1;
}

/* Whether a refusal should reach the client: nobody else to ask, or asked often enough. */
static __always_inline int is_last_word(const struct flow_common *f, __u32 member_number)
{
	struct member *m = bpf_map_lookup_elem(&members, &member_number);
	__u32 number, zero = 0;
	struct pool_slot *head;
	void *slots;

	if (!m || retries_of(f) >= MAX_RETRIES)
		return 1;
	number = m->pool;
	slots = bpf_map_lookup_elem(&pool_slots, &number);
	if (!slots)
		return 1;
	head = bpf_map_lookup_elem(slots, &zero);
	return !head || head->member < 2;
}

/* Packet of a member on a half-open TCP flow. */
static __always_inline int from_member_half_open(hook_ctx *ctx, struct work *w, struct flow_common *f,
						 const __u8 family)
{
	struct flow_common *client;

	set_twin_key(&w->client_key, f, w->protocol, family);
	client = find_half_open(&w->client_key, family);
	if (!client) {
		count_reason(REASON_NO_FLOW);
		return VERDICT_PASS; /* the kernel tells the member that nobody is there */
	}
	if (w->tcp_flags & TCP_RST && !(client->state & FLOW_ANSWERED)) {
		note_refusal(w, client->member);
		if (!is_last_word(client, client->member)) {
			__sync_fetch_and_or(&client->state, FLOW_RETRY);
			count_reason(REASON_MEMBER_REFUSED);
			return VERDICT_DROP;
		}
	} else if (w->tcp_flags & TCP_SYN && w->tcp_flags & TCP_ACK) {
		__sync_fetch_and_or(&client->state, FLOW_ANSWERED);
		__sync_fetch_and_or(&f->state, FLOW_ANSWERED);
	}
	return forward(ctx, w, f, family);
}

#endif
