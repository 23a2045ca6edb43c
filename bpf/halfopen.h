/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flows that are not established yet. TCP: from the first SYN until the client's ACK of a SYN-ACK;
 * the member half exists from the SYN on, the client half from the SYN-ACK on. UDP: until the member
 * answers or the client speaks a second time.
 */
#ifndef AMPHORA_HALFOPEN_H
#define AMPHORA_HALFOPEN_H

#include "promote.h"
#include "refusal.h"
#include "repeat.h"

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

#endif
