/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Later fragments carry no ports: the first one leaves them here. */
#ifndef AMPHORA_FRAGMENTS_H
#define AMPHORA_FRAGMENTS_H

#include "flows.h"

static __always_inline void set_fragment_key(struct work *w)
{
	w->fragment_key.saddr = w->src;
	w->fragment_key.daddr = w->dst;
	w->fragment_key.id = w->fragment_id;
	w->fragment_key.protocol = w->protocol;
}

static __always_inline void remember_fragment(struct work *w)
{
	w->first_fragment.sport = w->sport;
	w->first_fragment.dport = w->dport;
	w->first_fragment.stamp = now_stamp();
	set_fragment_key(w);
	bpf_map_update_elem(&fragments, &w->fragment_key, &w->first_fragment, BPF_ANY);
}

/* Gives a later fragment its ports back. -1: the first has not been seen. */
static __always_inline int recall_fragment(struct work *w)
{
	struct fragment *value;

	set_fragment_key(w);
	value = bpf_map_lookup_elem(&fragments, &w->fragment_key);
	if (!value)
		return -1;
	w->sport = value->sport;
	w->dport = value->dport;
	return 0;
}

#endif
