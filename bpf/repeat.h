/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a client sends on a flow that has no client half yet: as a rule its SYN again. */
#ifndef AMPHORA_REPEAT_H
#define AMPHORA_REPEAT_H

#include "open.h"
#include "promote.h"
#include "refusal.h"
#include "tcp.h"

#define HANDLED_NOT (-1) /* go on: nothing has been decided */

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
