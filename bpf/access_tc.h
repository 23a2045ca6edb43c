/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The access layer under tc (clsact ingress). What differs from XDP: VLAN tags are metadata,
 * packets may be super-packets, and a checksum may be half made (CHECKSUM_PARTIAL), so the L4
 * checksum changes only through bpf_l4_csum_replace, which knows.
 */
#ifndef AMPHORA_ACCESS_TC_H
#define AMPHORA_ACCESS_TC_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define HOOK_TC 1
#define VERDICT_PASS TC_ACT_OK
#define VERDICT_DROP TC_ACT_SHOT

typedef struct __sk_buff hook_ctx;

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
	return ctx->ifindex;
}

static __always_inline __u32 packet_length(hook_ctx *ctx)
{
	return ctx->len;
}

/* The frame has fewer bytes than its headers say. */
static __always_inline int is_cut_short(hook_ctx *ctx, __u32 length)
{
	return length > packet_length(ctx);
}

static __always_inline int is_segmented_later(hook_ctx *ctx)
{
	return ctx->gso_size != 0;
}

static __always_inline int load_bytes(hook_ctx *ctx, __u32 offset, void *to, __u32 length)
{
	return bpf_skb_load_bytes(ctx, offset, to, length);
}

static __always_inline int store_bytes(hook_ctx *ctx, __u32 offset, void *from, __u32 length)
{
	return bpf_skb_store_bytes(ctx, offset, from, length, 0);
}

static __always_inline int make_linear(hook_ctx *ctx, __u32 length)
{
	return bpf_skb_pull_data(ctx, length < ctx->len ? length : ctx->len);
}

static __always_inline int cut_to(hook_ctx *ctx, __u32 length)
{
	return bpf_skb_change_tail(ctx, length, 0);
}

static __always_inline int insert_behind_link(hook_ctx *ctx, __u32 l2, __u32 length)
{
	return bpf_skb_adjust_room(ctx, length, BPF_ADJ_ROOM_MAC, 0);
}

static __always_inline int pop_vlan(hook_ctx *ctx)
{
	return bpf_skb_vlan_pop(ctx);
}

static __always_inline int push_vlan(hook_ctx *ctx, __u16 tci)
{
	return bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), tci);
}

static __always_inline int send_on(hook_ctx *ctx, __u32 ifindex)
{
	return bpf_redirect(ifindex, 0);
}

static __always_inline int send_back(hook_ctx *ctx)
{
	return bpf_redirect(ctx->ifindex, 0);
}

static __always_inline long hook_fib_lookup(hook_ctx *ctx, struct bpf_fib_lookup *fib)
{
	return bpf_fib_lookup(ctx, fib, sizeof(*fib), 0);
}

#endif
