/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Choice of a member for a new flow: persistence first, then the pool's algorithm. */
#ifndef AMPHORA_SELECT_H
#define AMPHORA_SELECT_H

#include "flows.h"

#define SELECT_TRIES 16
#define LEAST_SCALE 65536

/* Same on every amphora of a pair; user space fills the table, this picks the row. */
static __always_inline __u32 hash_source(const struct ip_addr *a)
{
	__u64 x = (__u64)a->w[0] << 32 | a->w[1], y = (__u64)a->w[2] << 32 | a->w[3];

	x = (x ^ x >> 32) * 0x9E3779B97F4A7C15ull;
	y ^= x ^ x >> 29;
	y = (y ^ y >> 32) * 0xD6E8FEB86659FD93ull;
	y = (y ^ y >> 32) * 0xD6E8FEB86659FD93ull;
	return y >> 32;
}

/* True where a new flow should not go while there is another member: it has just refused, or is full. */
static __always_inline int is_avoided(__u32 number, __u32 exclude, __u32 now)
{
	struct member_state *state = bpf_map_lookup_elem(&member_state, &number);
	struct member *m = bpf_map_lookup_elem(&members, &number);

	if (!state || !m || number == exclude)
		return 1;
	if (state->suspect && (__s32)(state->suspect - now) > 0)
		return 1;
	return m->connection_limit && state->open >= m->connection_limit;
}

static __always_inline int is_full(__u32 number)
{
	struct member_state *state = bpf_map_lookup_elem(&member_state, &number);
	struct member *m = bpf_map_lookup_elem(&members, &number);

	return !state || !m || (m->connection_limit && state->open >= m->connection_limit);
}

struct slot_walk {
	void *slots;
	__u32 at, count;
	__u32 exclude, now;
	__u32 member;
	__u32 fallback;
};

static __always_inline long consider_slot(struct slot_walk *walk)
{
	__u32 row = 1 + walk->at;
	struct pool_slot *slot = bpf_map_lookup_elem(walk->slots, &row);

	if (!slot)
		return 1;
	if (!is_avoided(slot->member, walk->exclude, walk->now)) {
		walk->member = slot->member;
		return 1;
	}
	if (walk->fallback == NO_MEMBER && !is_full(slot->member))
		walk->fallback = slot->member;
	walk->at = walk->at + 1 < walk->count ? walk->at + 1 : 0;
	return 0;
}

static long try_slot(__u32 turn, struct slot_walk *walk)
{
	return consider_slot(walk);
}

/* From row `start` on, the first member that nothing speaks against; else the first that is not full. */
static __always_inline __u32 walk_slots(void *slots, __u32 start, __u32 count, __u32 exclude)
{
	struct slot_walk walk = {
		.slots = slots,
		.at = start,
		.count = count,
		.exclude = exclude,
		.now = now_stamp(),
		.member = NO_MEMBER,
		.fallback = NO_MEMBER,
	};

	/* the first row nearly always does, and costs no loop */
	if (!consider_slot(&walk) && count > 1)
		bpf_loop((count < SELECT_TRIES ? count : SELECT_TRIES) - 1, try_slot, &walk, 0);
	return walk.member != NO_MEMBER ? walk.member : walk.fallback;
}

struct least_search {
	void *slots;
	__u64 bound; /* nobody is lighter than this, so whoever is as light ends the search */
	__u64 best_load;
	__u32 best;
	__u32 fallback;
	__u32 at, count;
	__u32 exclude, now;
	__u32 found_bound;
};

static long weigh_member(__u32 turn, struct least_search *s)
{
	__u32 row = 1 + s->at;
	struct pool_slot *slot = bpf_map_lookup_elem(s->slots, &row);
	struct member_state *state;
	__u32 number;
	__u64 load;

	if (!slot)
		return 1;
	s->at = s->at + 1 < s->count ? s->at + 1 : 0;
	number = slot->member;
	state = bpf_map_lookup_elem(&member_state, &number);
	if (!state)
		return 0;
	load = (__u64)state->open * LEAST_SCALE / (slot->weight ?: 1);
	if (is_avoided(number, s->exclude, s->now)) {
		if (!is_full(number))
			s->fallback = number;
		return 0;
	}
	if (load < s->best_load) {
		s->best_load = load;
		s->best = number;
	}
	if (load <= s->bound) {
		s->found_bound = 1;
		return 1;
	}
	return 0;
}

/*
 * Fewest open flows by weight. The kept lower bound makes the usual case short: while flows only
 * come, the search stops at the first member at the bound, and a closing flow resets it.
 */
static __always_inline __u32 least_loaded(void *slots, struct pool_state *ps, __u32 count, __u32 exclude)
{
	struct least_search s = {
		.slots = slots,
		.bound = ps->least,
		.best_load = ~0ull,
		.best = NO_MEMBER,
		.fallback = NO_MEMBER,
		.count = count,
		.exclude = exclude,
		.now = now_stamp(),
	};

	s.at = __sync_fetch_and_add(&ps->cursor, 1) % count;
	bpf_loop(count, weigh_member, &s, 0);
	if (s.best == NO_MEMBER)
		return s.fallback;
	if (!s.found_bound)
		ps->least = s.best_load;
	return s.best;
}

static __always_inline __u32 select_by_algorithm(struct work *w)
{
	__u32 number = w->pool, zero = 0, count;
	void *slots = bpf_map_lookup_elem(&pool_slots, &number);
	struct pool_state *ps = bpf_map_lookup_elem(&pool_state, &number);
	struct pool_slot *head;

	if (!slots || !ps)
		return NO_MEMBER;
	head = bpf_map_lookup_elem(slots, &zero);
	if (!head)
		return NO_MEMBER;
	count = head->member;
	if (!count)
		return NO_MEMBER;
	switch (head->weight) {
	case ALGORITHM_LEAST_CONNECTIONS:
		return least_loaded(slots, ps, count, w->exclude);
	case ALGORITHM_SOURCE_HASH:
		return walk_slots(slots, hash_source(&w->src) % count, count, w->exclude);
	default:
		return walk_slots(slots, (__u32)(__sync_fetch_and_add(&ps->cursor, 1) % count), count, w->exclude);
	}
}

static __always_inline void mask_address(struct ip_addr *a, __u32 bits)
{
	__u32 i;

#pragma unroll
	for (i = 0; i < 4; i++) {
		__u32 left = bits > i * 32 ? bits - i * 32 : 0;

		if (left < 32)
			a->w[i] &= left ? bpf_htonl(~0u << (32 - left)) : 0;
	}
}

static __always_inline void set_persist_key(struct work *w, const struct pool *p)
{
	w->persist_key.pool = w->pool;
	w->persist_key.client = w->src;
	mask_address(&w->persist_key.client, w->family == FAMILY_4 ? 96 + p->persist_prefix4 : p->persist_prefix6);
}

/* Member number, or NO_MEMBER. A global function: verified once, not for each way that leads here. */
__noinline __u32 select_member(void)
{
	struct work *w = get_work();
	__u32 number, now = now_stamp(), member_number;
	struct pool *p;
	struct persist *record, fresh;

	if (!w)
		return NO_MEMBER;
	number = w->pool;
	p = bpf_map_lookup_elem(&pools, &number);
	if (!p)
		return NO_MEMBER;
	if (!(p->flags & POOL_PERSIST))
		return select_by_algorithm(w);
	set_persist_key(w, p);
	record = bpf_map_lookup_elem(&persistence, &w->persist_key);
	if (record && !(p->persist_stamps && now - record->stamp > p->persist_stamps)) {
		struct member *m;

		member_number = record->member;
		m = bpf_map_lookup_elem(&members, &member_number);
		if (m && m->flags & MEMBER_PRESENT && m->flags & MEMBER_PERSIST && m->pool == w->pool &&
		    !is_avoided(member_number, w->exclude, now)) {
			record->stamp = now;
			return member_number;
		}
	}
	member_number = select_by_algorithm(w);
	if (member_number == NO_MEMBER)
		return NO_MEMBER;
	fresh.member = member_number;
	fresh.stamp = now;
	bpf_map_update_elem(&persistence, &w->persist_key, &fresh, BPF_ANY);
	return member_number;
}

#endif
