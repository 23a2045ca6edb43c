/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SNAT ports, one sequence per member: a port comes round as late as possible, which is its
 * quarantine. The claim is the insertion of the member half, and nothing else locks.
 */
#ifndef AMPHORA_SNAT_H
#define AMPHORA_SNAT_H

#include "flows.h"

#define SNAT_TRIES 16

/*
 * Ports of flows that closed long enough ago may be taken back before the sweep comes. The client half
 * goes first, if it is still this flow's: its late packets must not enter the port's next connection.
 */
static __always_inline int is_claimed(struct work *w, const struct control *ctl, __be16 port, const __u8 family)
{
	struct flow_common *f = find_flow(&w->member_key, family), *client;
	__u32 now = now_stamp();

	if (!f)
		return 0;
	if (!(f->state & FLOW_CLOSED) || now - f->stamp <= ctl->closed_stamps)
		return 1;
	set_twin_key(&w->client_key, f, w->protocol, family);
	client = find_flow(&w->client_key, family);
	if (client && client->member == f->member && client->new_sport == port) {
		if (now - client->stamp <= ctl->closed_stamps)
			return 1;
		delete_flow(&w->client_key, family);
	}
	delete_flow(&w->member_key, family);
	return 0;
}

/* `steal`: a half-open flow that no member has answered yet may lose its port. */
static __always_inline int try_port(struct work *w, const struct control *ctl, __be16 port, int steal,
				    const __u8 family)
{
	struct flow_common *m = (void *)&w->member_half + (family == FAMILY_4 ? COMMON4 : COMMON6);
	__u64 ports = (__u64)(__u16)~w->sport + port + (__u16)~w->dport + w->chosen.port;

	/* the way back undoes what the way there does */
	m->l4_delta = ~fold64((__u64)w->address_delta + fold64(ports));
	set_key(&w->member_key, &w->chosen.address, &w->snat, w->chosen.port, port, w->protocol, family);
	if (is_claimed(w, ctl, port, family))
		return -1;
	if (steal) {
		struct flow_common *f = find_half_open(&w->member_key, family);

		if (f && f->state & FLOW_ANSWERED)
			return -1;
	}
	if (insert_half_open(&w->member_key, &w->member_half, steal ? BPF_ANY : BPF_NOEXIST, family))
		return -1;
	w->snat_port = port;
	return 0;
}

/* Claims a port for w->chosen and writes the member half under it. 0: w->snat_port is ours. */
static __always_inline int claim_port(struct work *w, const struct control *ctl, const __u8 family)
{
	__u32 number = w->member, min = ctl->snat_port_min, range = ctl->snat_port_max - min + 1, i;
	struct member_state *state = bpf_map_lookup_elem(&member_state, &number);
	__u16 own = bpf_ntohs(w->sport);

	if (!state || !range)
		return -1;
	if (w->protocol == IPPROTO_SCTP)
		return try_port(w, ctl, w->sport, 0, family);
	if (w->listener_flags & LISTENER_KEEP_PORT && own >= min && own - min < range &&
	    !try_port(w, ctl, w->sport, 0, family))
		return 0;
	for (i = 0; i < SNAT_TRIES; i++) {
		/* started apart, since two pools may share a member's address */
		__u32 step = __sync_fetch_and_add(&state->port_cursor, 1) + number * 7919;

		/* A flood must not hold all ports by flows that nobody answers: the last tries take theirs. */
		if (!try_port(w, ctl, bpf_htons(min + step % range), i >= SNAT_TRIES / 2, family))
			return 0;
	}
	return -1;
}

#endif
