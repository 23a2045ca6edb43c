/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A member that refuses a connection, or does not answer: noted against it, and kept from the client while there
 * is somebody else to ask.
 */
#ifndef AMPHORA_REFUSAL_H
#define AMPHORA_REFUSAL_H

#include "promote.h"

#define MAX_RETRIES 3 /* HAProxy's `retries 3` */

static __always_inline __u32 retries_of(const struct flow_common *f)
{
	return f->state >> RETRIES_SHIFT;
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

#endif
