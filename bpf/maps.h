/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Map definitions. Sizes here are the smallest that work; the agent sets real ones from RAM. */
#ifndef AMPHORA_MAPS_H
#define AMPHORA_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "layout.h"

#define MAP(map_name, map_type, key_type, value_type, entries, flag_bits)                                              \
	struct {                                                                                                       \
		__uint(type, map_type);                                                                                \
		__uint(max_entries, entries);                                                                          \
		__uint(map_flags, flag_bits);                                                                          \
		__type(key, key_type);                                                                                 \
		__type(value, value_type);                                                                             \
	} map_name SEC(".maps")

/* Written by the agent. */
MAP(control, BPF_MAP_TYPE_ARRAY, __u32, struct control, 1, BPF_F_MMAPABLE);
MAP(services, BPF_MAP_TYPE_HASH, struct service_key, struct service, 1024, 0);
MAP(listeners, BPF_MAP_TYPE_ARRAY, __u32, struct listener, 512, 0);
MAP(pools, BPF_MAP_TYPE_ARRAY, __u32, struct pool, 512, 0);
MAP(members, BPF_MAP_TYPE_ARRAY, __u32, struct member, 1024, 0);
MAP(interfaces, BPF_MAP_TYPE_HASH, __u32, struct interface, 256, 0);
MAP(allowed, BPF_MAP_TYPE_LPM_TRIE, struct allowed_key, __u32, 4096, BPF_F_NO_PREALLOC);

/* A pool's table is an inner map of its own length, so that one write swaps it whole. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 512);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_ARRAY);
		__uint(max_entries, 1);
		__uint(map_flags, BPF_F_INNER_MAP);
		__uint(key_size, sizeof(__u32));
		__uint(value_size, sizeof(struct pool_slot));
	});
} pool_slots SEC(".maps");

/* Written by the kernel. */
MAP(pool_state, BPF_MAP_TYPE_ARRAY, __u32, struct pool_state, 512, 0);
MAP(member_state, BPF_MAP_TYPE_ARRAY, __u32, struct member_state, 1024, 0);
MAP(listener_state, BPF_MAP_TYPE_ARRAY, __u32, struct listener_state, 512, 0);
MAP(member_counters, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct member_counters, 1024, 0);
MAP(listener_counters, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct listener_counters, 512, 0);
MAP(reasons, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, REASON_MAX, 0);
MAP(guard, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct guard, 1, 0);

/*
 * Established flows: hashes, never an LRU, which would tear pairs and forget idle sessions. Whatever may
 * be forgotten is an LRU, half-open flows first of all: a SYN flood recycles those and cannot touch an
 * established flow. Entries are allocated as flows come (the kernel keeps some ready per CPU): most
 * amphorae never see a tenth of their capacity, and preallocated it would be a sixth of their RAM.
 */
MAP(flows4, BPF_MAP_TYPE_HASH, struct flow_key4, struct flow4, 4096, BPF_F_NO_PREALLOC);
MAP(flows6, BPF_MAP_TYPE_HASH, struct flow_key6, struct flow6, 4096, BPF_F_NO_PREALLOC);
MAP(half4, BPF_MAP_TYPE_LRU_HASH, struct flow_key4, struct flow4, 16384, BPF_F_NO_COMMON_LRU);
MAP(half6, BPF_MAP_TYPE_LRU_HASH, struct flow_key6, struct flow6, 16384, BPF_F_NO_COMMON_LRU);
MAP(cache4, BPF_MAP_TYPE_ARRAY, __u32, struct cache_line4, 1, BPF_F_MMAPABLE); /* MMAPABLE: begins on a page */
MAP(cache6, BPF_MAP_TYPE_ARRAY, __u32, struct cache_line6, 1, BPF_F_MMAPABLE);
MAP(recent, BPF_MAP_TYPE_ARRAY, __u32, struct recent, 1024, BPF_F_MMAPABLE);
MAP(hops, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct hop, 1024, 0);
MAP(local_vips, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct local_vip, 256, 0);
MAP(links, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct link, 64, 0);
MAP(fragments, BPF_MAP_TYPE_LRU_HASH, struct fragment_key, struct fragment, 4096, 0);
MAP(persistence, BPF_MAP_TYPE_LRU_HASH, struct persist_key, struct persist, 16384, 0);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} events SEC(".maps");

/* A ring of its own: neither a slow follower nor many of them take a line out of the log. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} log_events SEC(".maps");

/* Arguments of the sweep. */
MAP(reap_keys4, BPF_MAP_TYPE_ARRAY, __u32, struct flow_key4, 1024, 0);
MAP(reap_keys6, BPF_MAP_TYPE_ARRAY, __u32, struct flow_key6, 1024, 0);

static __always_inline void count_reason(__u32 reason)
{
	__u64 *count = bpf_map_lookup_elem(&reasons, &reason);

	if (count)
		*count += 1;
}

static __always_inline struct control *get_control(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&control, &zero);
}

static __always_inline __u32 now_stamp(void)
{
	return bpf_jiffies64() >> STAMP_SHIFT;
}

#endif
