/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The repeated SYN. A half-open TCP flow has only its member half in a table, since a flood pays for
 * what the first packet writes. The client's own packets are known by this: a line per hash, overwritten
 * by whoever comes next, without a lock: what is found here is believed only after the half that it
 * leads to has named the same client.
 */
#ifndef AMPHORA_RECENT_H
#define AMPHORA_RECENT_H

#include "cache.h"

static __always_inline struct recent *recent_line(struct work *w, const __u8 family)
{
	const __u64 *key = (const void *)&w->key;
	struct control *ctl = get_control();
	__u32 at;

	if (!ctl)
		return NULL;
	at = family == FAMILY_4 ? mix_key(key[0], key[1]) :
				  mix_key(key[0] ^ key[1] << 1 ^ key[2] << 2 ^ key[3] << 3, key[4]);
	at &= ctl->recent_mask;
	return bpf_map_lookup_elem(&recent, &at);
}

static __always_inline void remember_client(struct work *w, const __u8 family)
{
	struct recent *r = recent_line(w, family);
	const __u64 *key = (const void *)&w->key;

	if (!r)
		return;
	r->key[0] = key[0];
	r->key[1] = key[1];
	r->key[2] = family == FAMILY_4 ? 0 : key[2];
	r->key[3] = family == FAMILY_4 ? 0 : key[3];
	r->key[4] = family == FAMILY_4 ? 0 : key[4];
	r->member = w->member;
	r->stamp = now_stamp();
	r->snat_port = w->snat_port;
}

/* The line of exactly this client, or NULL. */
static __always_inline struct recent *recall_client(struct work *w, const __u8 family)
{
	struct recent *r = recent_line(w, family);
	const __u64 *key = (const void *)&w->key;

	if (!r || r->key[0] != key[0] || r->key[1] != key[1])
		return NULL;
	if (family == FAMILY_6 && (r->key[2] != key[2] || r->key[3] != key[3] || r->key[4] != key[4]))
		return NULL;
	if (family == FAMILY_4 && r->key[4])
		return NULL;
	return r;
}

#endif
