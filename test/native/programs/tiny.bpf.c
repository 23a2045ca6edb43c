// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* As small as an object can be; SIZE, KIND and VALUE make incompatible builds of it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#ifndef KIND
#define KIND BPF_MAP_TYPE_ARRAY
#endif
#ifndef VALUE
#define VALUE __u64
#endif
#ifndef FLAGS
#define FLAGS 0
#endif

struct {
	__uint(type, KIND);
	__uint(max_entries, 2);
	__uint(map_flags, FLAGS);
	__type(key, __u32);
	__type(value, VALUE);
} shared SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} own SEC(".maps");

#ifdef REFUSED
SEC("xdp") int pass(struct xdp_md *context)
{
	return *(char *)(long)context->data; /* no bounds check: the verifier must refuse */
}
#else
SEC("xdp") int pass(struct xdp_md *context)
{
	__u32 key = 0;

	(void)context;
	bpf_map_lookup_elem(&shared, &key);
	bpf_map_lookup_elem(&own, &key);
	return XDP_PASS;
}
#endif

char _license[] SEC("license") = "Dual BSD/GPL";
