// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One map of every kind that the datapath has, and programs that touch them. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct record {
	__u64 first;
	__u32 second;
	__u32 third;
};

struct prefix {
	__u32 length;
	__u8 address[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct record);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct record);
} recent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32); /* half of what user space sees per CPU */
} percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
} prefixes SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps");

const volatile __u32 verdict = XDP_PASS;
const volatile __u64 addend = 1;

/* Returns what the inner map behind place 2 holds at 0, or 99 when the place is empty. */
SEC("xdp") int read_inner(struct xdp_md *context)
{
	__u32 place = 2, first = 0;
	__u64 *value;
	void *map = bpf_map_lookup_elem(&outer, &place);

	(void)context;
	if (!map)
		return 99;
	value = bpf_map_lookup_elem(map, &first);
	return value ? *value : 98;
}

/* Writes the interface and the length into array[0] and [1], grows the packet by 40 bytes at its head. */
SEC("xdp") int grow(struct xdp_md *context)
{
	__u32 key = 0;
	__u64 value = context->ingress_ifindex;

	bpf_map_update_elem(&array, &key, &value, BPF_ANY);
	key = 1;
	value = context->data_end - context->data;
	bpf_map_update_elem(&array, &key, &value, BPF_ANY);
	return bpf_xdp_adjust_head(context, -40) ? XDP_ABORTED : verdict;
}

SEC("tc") int mark(struct __sk_buff *context)
{
	__u32 key = 2;
	__u64 value = ((__u64)context->ingress_ifindex << 32) | context->ifindex;

	bpf_map_update_elem(&array, &key, &value, BPF_ANY);
	context->mark = 7;
	return 5;
}

struct sum {
	__u64 in, out;
};

SEC("syscall") int add(struct sum *context)
{
	__u32 key = 0;

	bpf_map_lookup_elem(&table, &key);
	bpf_map_lookup_elem(&recent, &key);
	bpf_map_lookup_elem(&percpu, &key);
	context->out = context->in + addend;
	return 3;
}

SEC("xdp") int find_prefix(struct xdp_md *context)
{
	struct prefix key = { .length = 32, .address = { 10, 1, 2, 3 } };
	__u32 *value = bpf_map_lookup_elem(&prefixes, &key);

	(void)context;
	return value ? *value : 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
