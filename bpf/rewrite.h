/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses, ports, TTL and checksums of one packet, from a flow's precomputed values. */
#ifndef AMPHORA_REWRITE_H
#define AMPHORA_REWRITE_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include "checksum.h"
#include "flows.h"

#define CHECK_OFFSET_TCP 16
#define CHECK_OFFSET_UDP 6

static __always_inline void rewrite_macs(void *eth, const struct flow_common *f)
{
	/* dmac and smac lie side by side in both */
	__builtin_memcpy(eth, f->dmac, 8);
	__builtin_memcpy(eth + 8, (const void *)f->dmac + 8, 4);
}

static __always_inline void rewrite_ipv4(struct iphdr *ip, const struct flow_common *f)
{
	const struct flow4 *v = (const void *)f - COMMON4;

	*(__u64 *)&ip->saddr = *(const __u64 *)&v->new_saddr;
	ip->ttl--;
	ip->check = checksum_add(ip->check, f->ip_delta);
}

static __always_inline void rewrite_ipv6(struct ipv6hdr *ip, const struct flow_common *f)
{
	const struct flow6 *v = (const void *)f - COMMON6;

	__builtin_memcpy(&ip->saddr, v->new_saddr, 32);
	ip->hop_limit--;
}

/* A computed UDP checksum of 0 goes out as all ones; a packet without one stays without (RFC 768). */
static __always_inline void rewrite_check(__u16 *check, __u16 delta, int udp)
{
	__u16 sum;

	if (udp && !*check)
		return;
	sum = checksum_add(*check, delta);
	*check = udp && !sum ? 0xffff : sum;
}

/* Sums of what a flow changes, kept apart for tc, where only addresses touch a half-made checksum. */
static __always_inline __u16 address_delta(const struct work *w, const struct flow_common *f, const __u8 family)
{
	__u64 sum;

	if (family == FAMILY_4) {
		const struct flow4 *v = (const void *)f - COMMON4;

		sum = diff32(w->src.w[3], v->new_saddr) + diff32(w->dst.w[3], v->new_daddr);
	} else {
		const struct flow6 *v = (const void *)f - COMMON6;
		int i;

		sum = 0;
#pragma unroll
		for (i = 0; i < 4; i++)
			sum += diff32(w->src.w[i], v->new_saddr[i]) + diff32(w->dst.w[i], v->new_daddr[i]);
	}
	return fold64(sum);
}

static __always_inline __u16 port_delta(__be16 sport, __be16 dport, const struct flow_common *f)
{
	return fold64((__u64)(__u16)~sport + f->new_sport + (__u16)~dport + f->new_dport);
}

#endif
