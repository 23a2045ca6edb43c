/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP's flags, as far as they move a flow (RFC 9293, 3.3.2). */
#ifndef AMPHORA_TCP_H
#define AMPHORA_TCP_H

#include "cache.h"
#include "flows.h"

static __always_inline int is_opening(const struct work *w)
{
	return w->protocol != IPPROTO_TCP || (w->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

static __always_inline __u32 last_bytes(const struct work *w, const struct flow_common *f)
{
	return f->state & FLOW_COUNT_PACKETS ? w->length : w->payload;
}

/* FIN, RST and SYN move a flow's state; only they touch the twin. -1: forget the flow and choose again. */
static __always_inline int follow_tcp(struct work *w, struct flow_common *f, const __u8 family)
{
	struct flow_common *twin, *client, *other;
	__u32 state = f->state;

	if (w->tcp_flags & TCP_SYN && !(w->tcp_flags & TCP_ACK)) {
		/* A client's port comes round. Its old member half keeps the SNAT port in quarantine. */
		if (!(state & FLOW_FROM_CLIENT) || !(state & FLOW_CLOSED))
			return 0;
		forget_lines(&w->key, f, family);
		return delete_flow(&w->key, family) ? 0 : -1;
	}
	if (!(w->tcp_flags & (TCP_FIN | TCP_RST)) || state & FLOW_CLOSED)
		return 0;
	set_twin_key(&w->client_key, f, w->protocol, family);
	twin = find_flow(&w->client_key, family);
	client = state & FLOW_FROM_CLIENT ? f : twin;
	other = state & FLOW_FROM_CLIENT ? twin : f;
	if (w->tcp_flags & TCP_FIN && !(w->tcp_flags & TCP_RST)) {
		__sync_fetch_and_or(&f->state, FLOW_FIN);
		if (twin)
			__sync_fetch_and_or(&twin->state, FLOW_TWIN_FIN);
		if (!(f->state & FLOW_TWIN_FIN))
			return 0;
	}
	forget_lines(&w->key, f, family);
	if (twin)
		forget_lines(&w->client_key, twin, family);
	if (!client)
		return 0;
	/* What the last packet carries is counted when it is forwarded, behind the record of the end. */
	if (state & FLOW_FROM_CLIENT)
		w->last_rx = last_bytes(w, f);
	else
		w->last_tx = last_bytes(w, f);
	close_flow(client, other, state & FLOW_FROM_CLIENT ? &w->key : &w->client_key, family, w->protocol,
		   !(w->tcp_flags & TCP_RST)	? FLOW_END_FIN :
		   state & FLOW_FROM_CLIENT	? FLOW_END_CLIENT_RST :
						  FLOW_END_MEMBER_RST);
	w->last_rx = 0;
	w->last_tx = 0;
	return 0;
}

#endif
