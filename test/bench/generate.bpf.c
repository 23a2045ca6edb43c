/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets without a sender: the kernel's live-frames test-run calls `generate` for each frame, which
 * writes a whole 64-byte datagram into it (recycled frames keep old bytes) and sends it out of an
 * interface. The sinks count what arrives at the far end and end it there, each in the cheapest way of its hook.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FRAME 64

struct plan {
	__u8 frame[FRAME]; /* of flow 0, both checksums 0 */
	__u32 ifindex;
	__u32 mask;	   /* number of flows - 1 */
	__u32 client;	   /* host order: address of flow 0; 16 flows each */
	__u32 sport;	   /* host order */
	__u32 ip_sum;	   /* one's complement sums of all that is the same in every flow, host order */
	__u32 l4_sum;
	__u32 drop;	   /* nonzero: write the frame and drop it, to know what that costs */
	__u32 next;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct plan);
} plan SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} arrived SEC(".maps");

static __always_inline __u16 finish(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return bpf_htons((__u16)~sum);
}

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0, client, sport, flow;
	struct plan *p = bpf_map_lookup_elem(&plan, &zero);

	if (!p || data + FRAME > end)
		return XDP_ABORTED;
	flow = p->next++ & p->mask;
	client = p->client + (flow >> 4);
	sport = p->sport + (flow & 15);
	__builtin_memcpy(data, p->frame, FRAME);
	*(__be32 *)(data + 26) = bpf_htonl(client);
	*(__be16 *)(data + 34) = bpf_htons(sport);
	*(__be16 *)(data + 24) = finish(p->ip_sum + (client >> 16) + (client & 0xffff));
	*(__be16 *)(data + 40) = finish(p->l4_sum + (client >> 16) + (client & 0xffff) + sport);
	return p->drop ? XDP_DROP : bpf_redirect(p->ifindex, 0);
}

static __always_inline int is_counted(void *data, void *end)
{
	__u8 *bytes = data;
	__u32 zero = 0;
	__u64 *count;

	if (data + 42 > end || bytes[12] != 8 || bytes[13] || bytes[23] != 17)
		return 0;
	count = bpf_map_lookup_elem(&arrived, &zero);
	if (count)
		*count += 1;
	return 1;
}

SEC("xdp")
int sink_xdp(struct xdp_md *ctx)
{
	return is_counted((void *)(long)ctx->data, (void *)(long)ctx->data_end) ? XDP_DROP : XDP_PASS;
}

SEC("tc")
int sink_tc(struct __sk_buff *ctx)
{
	return is_counted((void *)(long)ctx->data, (void *)(long)ctx->data_end) ? TC_ACT_SHOT : TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
