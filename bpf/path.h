/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packet's path, the same for both hooks: first the plain case, then the slow path for whatever
 * else it may be.
 */
#ifndef AMPHORA_PATH_H
#define AMPHORA_PATH_H

#include "plain.h"
#include "slow.h"

static __always_inline int path(hook_ctx *ctx)
{
	void *data = packet_start(ctx), *end = packet_end(ctx);
	struct ethhdr *eth = data;
	int verdict = PLAIN_NOT;

	if ((void *)(eth + 1) > end)
		return VERDICT_PASS;
#ifdef HOOK_TC
	if (ctx->vlan_present)
		return slow_path(ctx);
#endif
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		verdict = plain_ipv4(ctx);
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		verdict = plain_ipv6(ctx);
	return verdict == PLAIN_NOT ? slow_path(ctx) : verdict;
}

#endif
