/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Our conntrack: keys, lookup, opening for good, closing. IPv4 and IPv6 differ in the width of
 * their addresses only; what follows them is the same and is handled once, as struct flow_common.
 */
#ifndef AMPHORA_FLOWS_H
#define AMPHORA_FLOWS_H

#include "maps.h"
#include "work.h"
#include "events.h"

/* The tail of flow4 and flow6. */
struct flow_common {
	__be16 new_sport, new_dport;
	__u16 ip_delta;
	__u16 l4_delta;
	__u8 dmac[6], smac[6];
	__u32 ifindex;
	__u32 member;
	__u16 mtu;
	__u16 vlan;
	__u32 stamp;
	__u32 generation;
	__u32 state;
	__u32 created;
	__u64 bytes;
};
#define COMMON4 __builtin_offsetof(struct flow4, new_sport)
#define COMMON6 __builtin_offsetof(struct flow6, new_sport)
_Static_assert(COMMON4 + sizeof(struct flow_common) == sizeof(struct flow4), "tails must agree");
_Static_assert(__builtin_offsetof(struct flow6, bytes) - COMMON6 == __builtin_offsetof(struct flow_common, bytes),
	       "tails must agree");
_Static_assert(__builtin_offsetof(struct flow4, bytes) - COMMON4 == __builtin_offsetof(struct flow_common, bytes),
	       "tails must agree");

/* The state word's upper byte counts how often the client has been moved to another member. */
#define RETRIES_SHIFT 24

static __always_inline void set_key(void *key, const struct ip_addr *src, const struct ip_addr *dst, __be16 sport,
				    __be16 dport, __u8 protocol, __u8 family)
{
	if (family == FAMILY_4) {
		struct flow_key4 *k = key;

		k->saddr = src->w[3];
		k->daddr = dst->w[3];
		k->sport = sport;
		k->dport = dport;
		*(__u32 *)&k->protocol = protocol;
	} else {
		struct flow_key6 *k = key;

		__builtin_memcpy(k->saddr, src, 16);
		__builtin_memcpy(k->daddr, dst, 16);
		k->sport = sport;
		k->dport = dport;
		*(__u32 *)&k->protocol = protocol;
	}
}

static __always_inline int same_key(const void *a, const void *b, const __u8 family)
{
	const __u64 *x = a, *y = b;

	if (family == FAMILY_4)
		return x[0] == y[0] && x[1] == y[1];
	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3] && x[4] == y[4];
}

/* Key of the packet itself, from what the parser left in `w`. */
static __always_inline void set_packet_key(struct work *w)
{
	set_key(&w->key, &w->src, &w->dst, w->sport, w->dport, w->protocol, w->family);
}

static __always_inline struct flow_common *find_flow(const void *key, __u8 family)
{
	if (family == FAMILY_4) {
		struct flow4 *f = bpf_map_lookup_elem(&flows4, key);

		return f ? (void *)f + COMMON4 : NULL;
	} else {
		struct flow6 *f = bpf_map_lookup_elem(&flows6, key);

		return f ? (void *)f + COMMON6 : NULL;
	}
}

static __always_inline struct flow_common *find_half_open(const void *key, __u8 family)
{
	if (family == FAMILY_4) {
		struct flow4 *f = bpf_map_lookup_elem(&half4, key);

		return f ? (void *)f + COMMON4 : NULL;
	} else {
		struct flow6 *f = bpf_map_lookup_elem(&half6, key);

		return f ? (void *)f + COMMON6 : NULL;
	}
}

static __always_inline long insert_half_open(const void *key, const void *value, __u64 flags, __u8 family)
{
	return family == FAMILY_4 ? bpf_map_update_elem(&half4, key, value, flags) :
				    bpf_map_update_elem(&half6, key, value, flags);
}

static __always_inline long insert_flow(const void *key, const void *value, __u8 family)
{
	return family == FAMILY_4 ? bpf_map_update_elem(&flows4, key, value, BPF_NOEXIST) :
				    bpf_map_update_elem(&flows6, key, value, BPF_NOEXIST);
}

static __always_inline long delete_half_open(const void *key, __u8 family)
{
	return family == FAMILY_4 ? bpf_map_delete_elem(&half4, key) : bpf_map_delete_elem(&half6, key);
}

static __always_inline long delete_flow(const void *key, __u8 family)
{
	return family == FAMILY_4 ? bpf_map_delete_elem(&flows4, key) : bpf_map_delete_elem(&flows6, key);
}

/* Key of the other half: what this half rewrites to, read backwards. */
static __always_inline void set_twin_key(void *key, const struct flow_common *f, __u8 protocol, __u8 family)
{
	if (family == FAMILY_4) {
		const struct flow4 *v = (const void *)f - COMMON4;
		struct flow_key4 *k = key;

		k->saddr = v->new_daddr;
		k->daddr = v->new_saddr;
		k->sport = v->new_dport;
		k->dport = v->new_sport;
		*(__u32 *)&k->protocol = protocol;
	} else {
		const struct flow6 *v = (const void *)f - COMMON6;
		struct flow_key6 *k = key;

		__builtin_memcpy(k->saddr, v->new_daddr, 16);
		__builtin_memcpy(k->daddr, v->new_saddr, 16);
		k->sport = v->new_dport;
		k->dport = v->new_sport;
		*(__u32 *)&k->protocol = protocol;
	}
}

/* One more open flow for the listener and the member, unless a limit forbids. 0: counted. */
static __always_inline int count_open(__u32 listener_number, __u32 member_number, __u32 listener_limit,
				      __u32 member_limit)
{
	struct listener_state *ls = bpf_map_lookup_elem(&listener_state, &listener_number);
	struct member_state *ms = bpf_map_lookup_elem(&member_state, &member_number);
	__u32 before;

	if (!ls || !ms)
		return -1;
	before = __sync_fetch_and_add(&ls->open, 1);
	if (listener_limit && before >= listener_limit) {
		__sync_fetch_and_add(&ls->open, -1);
		return -1;
	}
	before = __sync_fetch_and_add(&ms->open, 1);
	if (member_limit && before >= member_limit) {
		__sync_fetch_and_add(&ms->open, -1);
		__sync_fetch_and_add(&ls->open, -1);
		return -1;
	}
	return 0;
}

static __always_inline void count_closed(__u32 member_number)
{
	struct member *m = bpf_map_lookup_elem(&members, &member_number);
	struct member_state *ms = bpf_map_lookup_elem(&member_state, &member_number);
	struct listener_state *ls;
	struct pool_state *ps;
	__u32 number;

	if (!m || !ms)
		return;
	__sync_fetch_and_add(&ms->open, -1);
	number = m->listener;
	ls = bpf_map_lookup_elem(&listener_state, &number);
	if (ls)
		__sync_fetch_and_add(&ls->open, -1);
	number = m->pool;
	ps = bpf_map_lookup_elem(&pool_state, &number);
	if (ps)
		ps->least = 0; /* somebody has become lighter: the next choice looks at all */
}

/*
 * Ends the flow whose client half is `client` (its twin may be NULL): counted exactly once, since
 * only one caller takes FLOW_OPEN away. The entries stay, for the SNAT port's quarantine.
 */
static __always_inline void close_flow(struct flow_common *client, struct flow_common *twin, const void *client_key,
				       __u8 family, __u8 protocol, enum flow_end end)
{
	__u32 before = __sync_fetch_and_and(&client->state, ~FLOW_OPEN);

	__sync_fetch_and_or(&client->state, FLOW_CLOSED);
	if (twin)
		__sync_fetch_and_or(&twin->state, FLOW_CLOSED);
	if (!(before & FLOW_OPEN))
		return;
	count_closed(client->member);
	emit_event(client_key, client, twin, EVENT_HOW(FLOW_EVENT_CLOSE, protocol, end), family);
}

#endif
