/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The per-CPU front of the flow tables: what is in it costs no hash lookup. See struct cache_line4. */
#ifndef AMPHORA_CACHE_H
#define AMPHORA_CACHE_H

#include "flows.h"

enum cache_bits {
	CACHE_FROM_CLIENT = 1,
	CACHE_COUNT_PACKETS = 2,
};

/* `rest` holds 40 bits of key, then 8 of enum cache_bits, then the MTU. */
#define REST_KEY_BITS 40
#define REST_BITS(rest) ((__u8)((rest) >> REST_KEY_BITS))
#define REST_MTU(rest) ((__u32)((rest) >> 48))

static __always_inline int same_rest(__u64 a, __u64 b)
{
	return !((a ^ b) << (64 - REST_KEY_BITS));
}

static __always_inline __u32 mix_key(__u64 addresses, __u64 rest)
{
	__u64 x = addresses * 0x9E3779B97F4A7C15ull ^ rest * 0xD6E8FEB86659FD93ull;

	x ^= x >> 32;
	x *= 0xFF51AFD7ED558CCDull;
	return x >> 40;
}

static __always_inline __u32 line_of(const struct control *ctl, __u32 cpu, __u32 hash)
{
	return cpu * (ctl->cache_mask + 1) + (hash & ctl->cache_mask);
}

static __always_inline struct cache_line4 *cache_at4(const __u64 *key, const struct control *ctl, __u32 cpu)
{
	__u32 at = line_of(ctl, cpu, mix_key(key[0], key[1]));

	return ctl->cache_mask ? bpf_map_lookup_elem(&cache4, &at) : NULL;
}

static __always_inline struct cache_line6 *cache_at6(const __u64 *key, const struct control *ctl, __u32 cpu)
{
	__u32 at = line_of(ctl, cpu, mix_key(key[0] ^ key[1] << 1 ^ key[2] << 2 ^ key[3] << 3, key[4]));

	return ctl->cache_mask ? bpf_map_lookup_elem(&cache6, &at) : NULL;
}

static __always_inline __u64 rest_of(const struct flow_common *f, __u64 key_rest)
{
	__u64 bits = (f->state & FLOW_FROM_CLIENT ? CACHE_FROM_CLIENT : 0) |
		     (f->state & FLOW_COUNT_PACKETS ? CACHE_COUNT_PACKETS : 0);

	return key_rest | bits << REST_KEY_BITS | (__u64)f->mtu << 48;
}

/* What a line has counted goes to its flow, before the line serves another. */
static __always_inline void flush_line4(struct cache_line4 *line)
{
	__u64 key[2] = { line->addresses, line->rest << (64 - REST_KEY_BITS) >> (64 - REST_KEY_BITS) };
	struct flow_common *f = line->bytes ? find_flow(key, FAMILY_4) : NULL;

	if (f)
		f->bytes += line->bytes;
	line->bytes = 0;
}

static __always_inline void flush_line6(struct cache_line6 *line)
{
	__u64 key[5] = { line->addresses[0], line->addresses[1], line->addresses[2], line->addresses[3],
			 line->rest << (64 - REST_KEY_BITS) >> (64 - REST_KEY_BITS) };
	struct flow_common *f = line->bytes ? find_flow(key, FAMILY_6) : NULL;

	if (f)
		f->bytes += line->bytes;
	line->bytes = 0;
}

/* Copies a flow into its line, unless the line serves another flow in this stamp unit. */
__attribute__((unused)) static __noinline void fill_line4(struct cache_line4 *line, const __u64 *key, const struct flow4 *f, __u32 now,
				  __u32 generation)
{
	const struct flow_common *c = (const void *)f + COMMON4;

	flush_line4(line);
	line->addresses = key[0];
	line->rest = rest_of(c, key[1]);
	line->new_saddr = f->new_saddr;
	line->new_daddr = f->new_daddr;
	__builtin_memcpy(&line->new_sport, &c->new_sport, 24); /* ports, deltas, MACs, interface */
	line->member = c->member;
	line->stamp = now;
	line->generation = generation;
}

__attribute__((unused)) static __noinline void fill_line6(struct cache_line6 *line, const __u64 *key, const struct flow6 *f, __u32 now,
				  __u32 generation)
{
	const struct flow_common *c = (const void *)f + COMMON6;

	flush_line6(line);
	__builtin_memcpy(line->addresses, key, 32);
	line->rest = rest_of(c, key[4]);
	__builtin_memcpy(line->new_saddr, f->new_saddr, 32);
	__builtin_memcpy(&line->new_sport, &c->new_sport, 24);
	line->member = c->member;
	line->stamp = now;
	line->generation = generation;
}
_Static_assert(__builtin_offsetof(struct cache_line4, member) - __builtin_offsetof(struct cache_line4, new_sport) == 24 &&
	       __builtin_offsetof(struct flow_common, member) == 24, "copied as one block");

struct flush_turn {
	const struct control *ctl;
	__u64 key[5];
	__u64 bytes;
};

static long flush_turn4(__u32 cpu, struct flush_turn *t)
{
	struct cache_line4 *line = cache_at4(t->key, t->ctl, cpu);

	if (line && line->addresses == t->key[0] && same_rest(line->rest, t->key[1])) {
		t->bytes += line->bytes;
		line->bytes = 0;
		line->stamp = 0;
	}
	return 0;
}

static long flush_turn6(__u32 cpu, struct flush_turn *t)
{
	struct cache_line6 *line = cache_at6(t->key, t->ctl, cpu);

	if (line && line->addresses[0] == t->key[0] && line->addresses[1] == t->key[1] &&
	    line->addresses[2] == t->key[2] && line->addresses[3] == t->key[3] && same_rest(line->rest, t->key[4])) {
		t->bytes += line->bytes;
		line->bytes = 0;
		line->stamp = 0;
	}
	return 0;
}

static __always_inline void forget_on_all(const void *key, struct flow_common *f, const __u8 family)
{
	struct control *ctl = get_control();
	struct flush_turn t = { .ctl = ctl };

	if (!ctl || !ctl->cache_mask)
		return;
	__builtin_memcpy(t.key, key, family == FAMILY_4 ? 16 : 40);
	bpf_loop(ctl->cache_cpus, family == FAMILY_4 ? (void *)flush_turn4 : (void *)flush_turn6, &t, 0);
	f->bytes += t.bytes;
}

static __noinline int forget4(const void *key, struct flow_common *f)
{
	forget_on_all(key, f, FAMILY_4);
	return 0;
}

static __noinline int forget6(const void *key, struct flow_common *f)
{
	forget_on_all(key, f, FAMILY_6);
	return 0;
}

/* Takes a flow out of every CPU's cache; what they had counted goes to the flow. Once per flow's end. */
static __always_inline void forget_lines(const void *key, struct flow_common *f, const __u8 family)
{
	if (family == FAMILY_4)
		forget4(key, f);
	else
		forget6(key, f);
}

#endif
