/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What every figure is measured against: parse Ethernet, IP and ports, swap MACs, transmit.
 * And the feeders: they write the next packet's addresses into the test packet, which the kernel does
 * not restore between repeats, then go to the program under test (slot 0 of `next`). The same feeder in
 * front of `base` is subtracted, so that neither its cost nor the tail call's counts.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct feed {
	__u32 mask;  /* number of flows - 1 */
	__u32 state; /* of the generator, or the last flow's number; not 0 */
	__u32 client4; /* host order: the first client's address; 16 flows each */
	__u16 sport;   /* host order: the first port */
	__be16 dport;
	__be32 vip4;
	__u32 ttl4; /* bytes 8 to 11 of the IPv4 header: TTL, protocol, checksum */
	__u64 head6; /* bytes 0 to 7 of the IPv6 header */
	__be64 client6; /* first half of the client's address */
	__be64 vip6[2];
	__u32 shift; /* sequences: 1 sends two packets of each flow */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct feed);
} feed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

SEC("xdp")
int base(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u16 *mac = data, swap;
	__u32 ports;

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) + 20 > end || ip->ihl != 5)
			return XDP_DROP;
		ports = *(__u32 *)(ip + 1);
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) + 8 > end)
			return XDP_DROP;
		ports = *(__u32 *)(ip + 1);
	} else {
		return XDP_DROP;
	}
	if (!ports)
		return XDP_DROP;
	swap = mac[0], mac[0] = mac[3], mac[3] = swap;
	swap = mac[1], mac[1] = mac[4], mac[4] = swap;
	swap = mac[2], mac[2] = mac[5], mac[5] = swap;
	return XDP_TX;
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64[2]);
	__type(value, __u64[8]);
} bare4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64[5]);
	__type(value, __u64[13]);
} bare6 SEC(".maps");

/* What any balancer with a kernel hash table pays at least on this machine: one lookup that hits, one redirect. */
SEC("xdp")
int bare(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u64 *found = NULL, *words;

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);
		__u64 key[2];

		if ((void *)(ip + 1) + 4 > end)
			return XDP_DROP;
		key[0] = *(__u64 *)&ip->saddr;
		key[1] = *(__u32 *)(ip + 1) | (__u64)ip->protocol << 32;
		found = bpf_map_lookup_elem(&bare4, key);
		if (!found) {
			__u64 value[8] = { 1 };

			bpf_map_update_elem(&bare4, key, value, BPF_ANY);
		}
	} else {
		struct ipv6hdr *ip = (void *)(eth + 1);
		__u64 key[5];

		if ((void *)(ip + 1) + 4 > end)
			return XDP_DROP;
		words = (void *)&ip->saddr;
		key[0] = words[0];
		key[1] = words[1];
		key[2] = words[2];
		key[3] = words[3];
		key[4] = *(__u32 *)(ip + 1) | (__u64)ip->nexthdr << 32;
		found = bpf_map_lookup_elem(&bare6, key);
		if (!found) {
			__u64 value[13] = { 1 };

			bpf_map_update_elem(&bare6, key, value, BPF_ANY);
		}
	}
	return found ? bpf_redirect(*found, 0) : XDP_DROP;
}

static __always_inline __u32 xorshift(__u32 x)
{
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

/* Stores as wide as the datapath's loads, or store forwarding would fail and be counted as its cost. */
static __always_inline int write4(struct xdp_md *ctx, const struct feed *f, __u32 flow)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	void *ip = data + ETH_HLEN;

	if (ip + 24 > end)
		return XDP_ABORTED;
	*(__u32 *)(ip + 8) = f->ttl4;
	*(__u64 *)(ip + 12) = bpf_htonl(f->client4 + (flow >> 4)) | (__u64)f->vip4 << 32;
	*(__u32 *)(ip + 20) = bpf_htons(f->sport + (flow & 15)) | (__u32)f->dport << 16;
	bpf_tail_call(ctx, &next, 0);
	return XDP_ABORTED;
}

static __always_inline int write6(struct xdp_md *ctx, const struct feed *f, __u32 flow)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	void *ip = data + ETH_HLEN;

	if (ip + 44 > end)
		return XDP_ABORTED;
	*(__u64 *)ip = f->head6;
	*(__u64 *)(ip + 8) = f->client6;
	*(__u64 *)(ip + 16) = bpf_cpu_to_be64(1 + (flow >> 4));
	*(__u64 *)(ip + 24) = f->vip6[0];
	*(__u64 *)(ip + 32) = f->vip6[1];
	*(__u32 *)(ip + 40) = bpf_htons(f->sport + (flow & 15)) | (__u32)f->dport << 16;
	bpf_tail_call(ctx, &next, 0);
	return XDP_ABORTED;
}

static __always_inline struct feed *get_feed(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&feed, &zero);
}

/* Flows 0 to mask in random order. */
SEC("xdp")
int random4(struct xdp_md *ctx)
{
	struct feed *f = get_feed();

	if (!f)
		return XDP_ABORTED;
	f->state = xorshift(f->state);
	return write4(ctx, f, f->state & f->mask);
}

SEC("xdp")
int random6(struct xdp_md *ctx)
{
	struct feed *f = get_feed();

	if (!f)
		return XDP_ABORTED;
	f->state = xorshift(f->state);
	return write6(ctx, f, f->state & f->mask);
}

/* Flows one after the other: each is new once. */
SEC("xdp")
int sequence4(struct xdp_md *ctx)
{
	struct feed *f = get_feed();

	return f ? write4(ctx, f, (f->state++ >> f->shift) & f->mask) : XDP_ABORTED;
}

SEC("xdp")
int sequence6(struct xdp_md *ctx)
{
	struct feed *f = get_feed();

	return f ? write6(ctx, f, (f->state++ >> f->shift) & f->mask) : XDP_ABORTED;
}

/* Always flow 0. */
SEC("xdp")
int same4(struct xdp_md *ctx)
{
	struct feed *f = get_feed();

	return f ? write4(ctx, f, 0) : XDP_ABORTED;
}

SEC("xdp")
int same6(struct xdp_md *ctx)
{
	struct feed *f = get_feed();

	return f ? write6(ctx, f, 0) : XDP_ABORTED;
}

char _license[] SEC("license") = "GPL";
