/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flows that are not established yet. TCP: from the first SYN until the client's ACK of a SYN-ACK;
 * the member half exists from the SYN on, the client half from the SYN-ACK on. UDP: until the member
 * answers or the client speaks a second time.
 */
#ifndef AMPHORA_HALFOPEN_H
#define AMPHORA_HALFOPEN_H

#include "open.h"
#include "tcp.h"

#define MAX_RETRIES 3 /* HAProxy's `retries 3` */

static __always_inline __u32 retries_of(const struct flow_common *f)
{
	return f->state >> RETRIES_SHIFT;
}

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

/* The member would not, or did not answer: note it, and let the flow choose again, elsewhere. */
static __always_inline void note_refusal(__u32 number)
{
	struct control *ctl = get_control();
	struct member_counters *mc = bpf_map_lookup_elem(&member_counters, &number);
	struct member_state *state = bpf_map_lookup_elem(&member_state, &number);

	if (mc)
		mc->refusals++;
	if (state && ctl)
		state->suspect = (now_stamp() + ctl->suspect_stamps) ?: 1;
}

/* Whether a refusal should reach the client: nobody else to ask, or asked often enough. */
static __always_inline int is_last_word(const struct flow_common *f)
{
	__u32 number = f->member, zero = 0;
	struct member *m = bpf_map_lookup_elem(&members, &number);
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

/* A member's refusal of a connection that is not answered yet. 1: swallowed, the client's next SYN goes elsewhere. */
static __always_inline int swallows_refusal(struct flow_common *f)
{
	if (f->state & (FLOW_ANSWERED | FLOW_FROM_CLIENT))
		return 0;
	note_refusal(f->member);
	if (is_last_word(f))
		return 0;
	__sync_fetch_and_or(&f->state, FLOW_RETRY);
	count_reason(REASON_MEMBER_REFUSED);
	return 1;
}

/* SYN-ACK: from now on the client half is in the table too. -1: another member was faster. */
static __always_inline int note_answer(struct work *w, struct flow_common *f, const __u8 family)
{
	struct flow_common *client;
	__u32 number = f->member;
	struct member_state *state = bpf_map_lookup_elem(&member_state, &number);

	if (state && state->suspect)
		state->suspect = 0; /* it is well */
	if (f->state & FLOW_ANSWERED)
		return 0;
	__sync_fetch_and_or(&f->state, FLOW_ANSWERED);
	w->member_key = w->key;
	collect_from_member(w, f, family);
	if (!insert_half_open(&w->client_key, &w->client_half, BPF_NOEXIST, family))
		return 0;
	client = find_half_open(&w->client_key, family);
	return client && client->member == number &&
			       client->new_sport == (family == FAMILY_4 ? w->key.key4.dport : w->key.key6.dport) ?
		       0 : -1;
}

/* The refusal that the client hears, for the log: once, though the client may insist. */
static __always_inline void note_last_word(struct work *w, struct flow_common *f, const __u8 family)
{
	if (f->state & FLOW_LOGGED)
		return;
	__sync_fetch_and_or(&f->state, FLOW_LOGGED);
	w->member_key = w->key;
	collect_from_member(w, f, family);
	emit_event(&w->client_key, (void *)&w->client_half + (family == FAMILY_4 ? COMMON4 : COMMON6), NULL,
		   EVENT_HOW(FLOW_EVENT_REFUSE, w->protocol, FLOW_END_REFUSED), family);
}

/* Packet of a member on a half-open TCP flow. */
static __always_inline int from_member_half_open(hook_ctx *ctx, struct work *w, struct flow_common *f,
						 const __u8 family)
{
	if (w->tcp_flags & TCP_RST) {
		if (swallows_refusal(f))
			return VERDICT_DROP;
		note_last_word(w, f, family);
	} else if (w->tcp_flags & TCP_SYN && w->tcp_flags & TCP_ACK && note_answer(w, f, family)) {
		count_reason(REASON_NO_FLOW);
		return VERDICT_DROP;
	}
	return forward(ctx, w, f, family);
}

#define HANDLED_NOT (-1) /* go on: nothing has been decided */

/* The flow goes on from the established table. */
static __always_inline int promote_and_forward(hook_ctx *ctx, struct work *w, const __u8 family)
{
	struct flow_common *f;

	switch (promote(w, family)) {
	case PROMOTED:
		break;
	case PROMOTE_LOST:
		drop_halves(w, family);
		return HANDLED_NOT;
	default:
		return VERDICT_DROP; /* no room: whoever sent it repeats it */
	}
	f = find_flow(&w->key, family);
	if (!f) {
		count_reason(REASON_NO_FLOW);
		return VERDICT_DROP;
	}
	if (w->protocol == IPPROTO_TCP)
		follow_tcp(w, f, family);
	return forward(ctx, w, f, family);
}

/* A packet that a half in the table knows. */
static __always_inline int handle_half_open(hook_ctx *ctx, struct work *w, struct flow_common *f, const __u8 family)
{
	int from_client = f->state & FLOW_FROM_CLIENT;

	if (w->protocol == IPPROTO_TCP) {
		if (!from_client)
			return from_member_half_open(ctx, w, f, family);
		if (is_opening(w))
			return forward(ctx, w, f, family);
	}
	if (!from_client) {
		w->member_key = w->key;
		collect_from_member(w, f, family);
	} else if (collect_from_client(w, f, family)) {
		delete_half_open(&w->key, family);
		return HANDLED_NOT;
	}
	if (w->protocol == IPPROTO_TCP && w->tcp_flags & TCP_RST) {
		int verdict = forward(ctx, w, f, family);

		drop_halves(w, family);
		return verdict;
	}
	return promote_and_forward(ctx, w, family);
}

/* Member half of the flow that `r` remembers of this client; w->member_key is set. */
static __always_inline struct flow_common *find_recent_half(hook_ctx *ctx, struct work *w, const struct recent *r,
							    const struct control *ctl, const __u8 family)
{
	__u32 number = r->member;
	struct member *m = bpf_map_lookup_elem(&members, &number);
	struct flow_common *f;
	int hop;

	if (!m)
		return NULL;
	w->member = number;
	w->chosen = *m;
	hop = find_member_hop(ctx, w, ctl, family);
	if ((hop != HOP_OK && hop != HOP_UNRESOLVED) || choose_source(w))
		return NULL;
	set_key(&w->member_key, &w->chosen.address, &w->snat, w->chosen.port, r->snat_port, w->protocol, family);
	f = find_half_open(&w->member_key, family);
	if (!f)
		return NULL;
	/* the port may serve another client by now */
	set_twin_key(&w->client_key, f, w->protocol, family);
	return same_key(&w->client_key, &w->key, family) ? f : NULL;
}

/* Whether a member has been silent for too long: the listener's connect timeout, or the time of a repeated SYN. */
static __always_inline int is_silent(const struct recent *r, const struct control *ctl, __u32 listener_number)
{
	struct listener *l = bpf_map_lookup_elem(&listeners, &listener_number);
	__u32 patience = ctl->reselect_stamps;

	if (l && l->connect_stamps && l->connect_stamps < patience)
		patience = l->connect_stamps;
	return now_stamp() - r->stamp >= patience;
}

/* A client's TCP packet of a flow that has no client half yet: as a rule a repeated SYN. */
static __always_inline int handle_recent(hook_ctx *ctx, struct work *w, const struct control *ctl, const __u8 family)
{
	struct recent *r = recall_client(w, family);
	struct listener_counters *lc;
	struct flow_common *f;
	__u32 number, before;

	if (!r)
		return HANDLED_NOT;
	f = find_recent_half(ctx, w, r, ctl, family);
	if (!f)
		return HANDLED_NOT;
	if (!is_opening(w)) {
		before = f->state;
		collect_from_member(w, f, family);
		if (w->tcp_flags & TCP_RST && !(before & FLOW_ANSWERED))
			delete_half_open(&w->member_key, family);
		return forward(ctx, w, (void *)&w->client_half + (family == FAMILY_4 ? COMMON4 : COMMON6), family);
	}
	if (!(f->state & FLOW_RETRY) && !is_silent(r, ctl, w->listener)) {
		collect_from_member(w, f, family);
		return forward(ctx, w, (void *)&w->client_half + (family == FAMILY_4 ? COMMON4 : COMMON6), family);
	}
	if (!(f->state & FLOW_RETRY))
		note_refusal(f->member);
	w->exclude = f->member;
	w->retries = retries_of(f) + 1;
	number = w->listener;
	lc = bpf_map_lookup_elem(&listener_counters, &number);
	if (lc)
		lc->reselected++;
	delete_half_open(&w->member_key, family);
	return HANDLED_NOT;
}

#endif
