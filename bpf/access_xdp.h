/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The access layer under XDP: pointers, verdicts, room, redirect. access_tc.h is its twin. */
#ifndef AMPHORA_ACCESS_XDP_H
#define AMPHORA_ACCESS_XDP_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define HOOK_XDP 1
#define VERDICT_PASS XDP_PASS
#define VERDICT_DROP XDP_DROP

typedef struct xdp_md hook_ctx;

static __always_inline void *packet_start(hook_ctx *ctx)
{
	return (void *)(long)ctx->data;
}

static __always_inline void *packet_end(hook_ctx *ctx)
{
	return (void *)(long)ctx->data_end;
}

static __always_inline __u32 ingress(hook_ctx *ctx)
{
	return ctx->ingress_ifindex;
}

static __always_inline __u32 packet_length(hook_ctx *ctx)
{
	return bpf_xdp_get_buff_len(ctx); /* fragments included */
}

/* What is not in the first buffer may be in another (a program with BPF_F_XDP_HAS_FRAGS). */
static __always_inline int is_cut_short(hook_ctx *ctx, __u32 length)
{
	return packet_start(ctx) + length > packet_end(ctx) && length > packet_length(ctx);
}

/* Frames that the kernel would cut into segments by itself: none before an skb exists. */
static __always_inline int is_segmented_later(hook_ctx *ctx)
{
	return 0;
}

static __always_inline int load_bytes(hook_ctx *ctx, __u32 offset, void *to, __u32 length)
{
	return bpf_xdp_load_bytes(ctx, offset, to, length);
}

static __always_inline int store_bytes(hook_ctx *ctx, __u32 offset, void *from, __u32 length)
{
	return bpf_xdp_store_bytes(ctx, offset, from, length);
}

/* Makes the first `length` bytes readable and writable in place; XDP's are. */
static __always_inline int make_linear(hook_ctx *ctx, __u32 length)
{
	return 0;
}

static __always_inline int cut_to(hook_ctx *ctx, __u32 length)
{
	return bpf_xdp_adjust_tail(ctx, (int)(length - packet_length(ctx)));
}

/* Room for `length` bytes between the `l2` bytes of link header and what follows; it moves the link header. */
static __always_inline int insert_behind_link(hook_ctx *ctx, __u32 l2, __u32 length)
{
	__u8 link[ETH_HLEN + 4];

	if (l2 != ETH_HLEN && l2 != ETH_HLEN + 4)
		return -1;
	if (l2 == ETH_HLEN ? bpf_xdp_load_bytes(ctx, 0, link, ETH_HLEN) : bpf_xdp_load_bytes(ctx, 0, link, ETH_HLEN + 4))
		return -1;
	if (bpf_xdp_adjust_head(ctx, -(int)length))
		return -1;
	return l2 == ETH_HLEN ? bpf_xdp_store_bytes(ctx, 0, link, ETH_HLEN) : bpf_xdp_store_bytes(ctx, 0, link, ETH_HLEN + 4);
}

static __always_inline int pop_vlan(hook_ctx *ctx)
{
	__u8 macs[12];

	if (bpf_xdp_load_bytes(ctx, 0, macs, sizeof(macs)) || bpf_xdp_adjust_head(ctx, 4))
		return -1;
	return bpf_xdp_store_bytes(ctx, 0, macs, sizeof(macs));
}

static __always_inline int push_vlan(hook_ctx *ctx, __u16 tci)
{
	__u8 link[16];

	if (bpf_xdp_load_bytes(ctx, 0, link, 12) || bpf_xdp_adjust_head(ctx, -4))
		return -1;
	link[12] = ETH_P_8021Q >> 8;
	link[13] = ETH_P_8021Q & 0xff;
	link[14] = tci >> 8;
	link[15] = tci & 0xff;
	return bpf_xdp_store_bytes(ctx, 0, link, sizeof(link));
}

/*
 * Never XDP_TX, also not out of the interface that the packet came in by: veth wakes its peer for
 * XDP_TX only if the peer runs an XDP program (veth_xdp_flush), for a redirect in any case.
 */
static __always_inline int send_on(hook_ctx *ctx, __u32 ifindex)
{
	return bpf_redirect(ifindex, 0);
}

static __always_inline int send_back(hook_ctx *ctx)
{
	return bpf_redirect(ctx->ingress_ifindex, 0);
}

static __always_inline long hook_fib_lookup(hook_ctx *ctx, struct bpf_fib_lookup *fib)
{
	return bpf_fib_lookup(ctx, fib, sizeof(*fib), 0);
}

#endif
