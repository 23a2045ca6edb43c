// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs that count what passes a hook. Only UDP over IPv4 counts: an interface's own chatter must not. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum counter { BY_FIRST, BY_SECOND, BY_TC, BY_TC_SECOND, COUNTERS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, COUNTERS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct event {
	__u64 number;
	__u32 ifindex;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

__u64 next_event;

static __always_inline int is_udp(void *data, void *end)
{
	struct ethhdr *ethernet = data;
	struct iphdr *ip = (void *)(ethernet + 1);

	return (void *)(ip + 1) <= end && ethernet->h_proto == bpf_htons(ETH_P_IP) && ip->protocol == IPPROTO_UDP;
}

static __always_inline void count(__u32 counter, void *data, void *end)
{
	__u64 *value = bpf_map_lookup_elem(&counts, &counter);

	if (value && is_udp(data, end))
		__sync_fetch_and_add(value, 1);
}

SEC("xdp") int first(struct xdp_md *context)
{
	count(BY_FIRST, (void *)(long)context->data, (void *)(long)context->data_end);
	return XDP_PASS;
}

SEC("xdp") int second(struct xdp_md *context)
{
	count(BY_SECOND, (void *)(long)context->data, (void *)(long)context->data_end);
	return XDP_PASS;
}

SEC("xdp") int drop(struct xdp_md *context)
{
	(void)context;
	return XDP_DROP;
}

SEC("tc") int tc_pass(struct __sk_buff *context)
{
	count(BY_TC, (void *)(long)context->data, (void *)(long)context->data_end);
	return TC_ACT_OK;
}

SEC("tc") int tc_second(struct __sk_buff *context)
{
	count(BY_TC_SECOND, (void *)(long)context->data, (void *)(long)context->data_end);
	return TC_ACT_OK;
}

SEC("tc") int tc_drop(struct __sk_buff *context)
{
	(void)context;
	return TC_ACT_SHOT;
}

SEC("xdp") int tell(struct xdp_md *context)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return XDP_DROP;
	event->number = __sync_fetch_and_add(&next_event, 1);
	event->ifindex = context->ingress_ifindex;
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
