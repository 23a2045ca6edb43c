/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Answers that the datapath gives itself, with the called address as their source: TCP RST and ICMP errors. */
#ifndef AMPHORA_REPLY_H
#define AMPHORA_REPLY_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include "checksum.h"
#include "maps.h"
#include "work.h"

enum icmp_reply {
	ICMP_REPLY_UNREACHABLE, /* port: nobody serves this */
	ICMP_REPLY_TOO_BIG,
	ICMP_REPLY_TTL,
};

#define REPLY_TTL 64

struct reply4 {
	struct iphdr ip;
	union {
		struct tcphdr tcp;
		__u8 icmp[8];
	};
};

struct reply6 {
	struct ipv6hdr ip;
	union {
		struct tcphdr tcp;
		__u8 icmp[8];
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct reply6);
} scratch_reply SEC(".maps");

static __always_inline __u64 sum_words(const void *from, __u32 length)
{
	const __u32 *word = from;
	__u64 sum = 0;
	__u32 i;

#pragma unroll
	for (i = 0; i < length / 4; i++)
		sum += word[i];
	return sum;
}

static __always_inline __u64 pseudo_sum(const struct work *w, __u32 length, __u8 protocol, const __u8 family)
{
	__u64 sum = (__u64)bpf_htonl(length) + bpf_htonl(protocol);

	if (family == FAMILY_4)
		return sum + w->src.w[3] + w->dst.w[3];
	return sum + sum_words(&w->src, 16) + sum_words(&w->dst, 16);
}

/* Ethernet addresses change places: an answer goes back by the hop that the packet came from. */
static __always_inline int turn_around(hook_ctx *ctx)
{
	__u8 macs[12], swapped[12];

	if (load_bytes(ctx, 0, macs, 12))
		return -1;
	__builtin_memcpy(swapped, macs + 6, 6);
	__builtin_memcpy(swapped + 6, macs, 6);
	return store_bytes(ctx, 0, swapped, 12);
}

static __always_inline void fill_ipv4(struct iphdr *ip, const struct work *w, __u16 length, __u8 protocol)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(length);
	ip->frag_off = bpf_htons(0x4000);
	ip->ttl = REPLY_TTL;
	ip->protocol = protocol;
	ip->saddr = w->dst.w[3];
	ip->daddr = w->src.w[3];
	ip->check = ~fold64(sum_words(ip, sizeof(*ip)));
}

static __always_inline void fill_ipv6(struct ipv6hdr *ip, const struct work *w, __u16 payload, __u8 protocol)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 6;
	ip->payload_len = bpf_htons(payload);
	ip->nexthdr = protocol;
	ip->hop_limit = REPLY_TTL;
	__builtin_memcpy(&ip->saddr, &w->dst, 16);
	__builtin_memcpy(&ip->daddr, &w->src, 16);
}

/* Half-made checksum (tc only): the field holds the pseudo header's sum, and hardware does the rest. */
static __always_inline int is_half_made(const struct work *w, __u16 check, const __u8 family)
{
#ifdef HOOK_XDP
	return 0;
#else
	return check == fold64(pseudo_sum(w, w->length - (w->l4 - w->l3), w->protocol, family));
#endif
}

/* RFC 9293, 3.10.7.1: refuses the connection that this segment wants. */
static __always_inline int send_rst_family(hook_ctx *ctx, struct work *w, const __u8 family)
{
	const __u32 ip_bytes = family == FAMILY_4 ? 20 : 40;
	struct tcphdr old, *tcp;
	struct reply6 *reply;
	__u32 zero = 0, next;
	int half_made;

	reply = bpf_map_lookup_elem(&scratch_reply, &zero);
	if (!reply || load_bytes(ctx, w->l4, &old, sizeof(old)))
		return VERDICT_DROP;
	half_made = is_half_made(w, old.check, family);
	if (half_made && w->l4 - w->l3 != ip_bytes)
		return VERDICT_DROP;
	tcp = family == FAMILY_4 ? &((struct reply4 *)reply)->tcp : &reply->tcp;
	__builtin_memset(tcp, 0, sizeof(*tcp));
	tcp->source = w->dport;
	tcp->dest = w->sport;
	tcp->doff = 5;
	tcp->rst = 1;
	if (w->tcp_flags & TCP_ACK) {
		tcp->seq = old.ack_seq;
	} else {
		next = w->payload + !!(w->tcp_flags & TCP_SYN) + !!(w->tcp_flags & TCP_FIN);
		tcp->ack = 1;
		tcp->ack_seq = bpf_htonl(bpf_ntohl(old.seq) + next);
	}
	if (half_made)
		tcp->check = fold64(pseudo_sum(w, sizeof(*tcp), IPPROTO_TCP, family));
	else
		tcp->check = ~fold64(pseudo_sum(w, sizeof(*tcp), IPPROTO_TCP, family) + sum_words(tcp, sizeof(*tcp)));
	if (family == FAMILY_4)
		fill_ipv4(&((struct reply4 *)reply)->ip, w, sizeof(struct iphdr) + sizeof(*tcp), IPPROTO_TCP);
	else
		fill_ipv6(&reply->ip, w, sizeof(*tcp), IPPROTO_TCP);
	if (cut_to(ctx, w->l3 + ip_bytes + sizeof(*tcp)) ||
	    store_bytes(ctx, w->l3, reply, ip_bytes + sizeof(*tcp)) || turn_around(ctx)) {
		count_reason(REASON_ERROR);
		return VERDICT_DROP;
	}
	count_reason(REASON_RST_SENT);
	return send_back(ctx);
}

/* What the quoted bytes will sum up to when they leave. A half-made checksum in them will be completed on the way out. */
static __always_inline __u64 quote_sum(struct work *w, __u32 l4_at, const __u8 family)
{
#ifdef HOOK_TC
	__u32 check_at = l4_at + (w->protocol == IPPROTO_TCP ? 16 : 6);
	__u16 check;

	PIN_REGISTER(check_at);
	if (check_at <= QUOTE_BYTES - 2 && w->fragment == FRAGMENT_NONE) {
		check = *(__u16 *)&w->quote[check_at];
		/* from L4 on everything will then sum up to ~check */
		if (is_half_made(w, check, family)) {
			__u32 ip_bytes = l4_at & ~3u;

			if (!ip_bytes || ip_bytes > QUOTE_BYTES)
				return 0;
			return (__u64)(__u32)bpf_csum_diff(NULL, 0, (void *)w->quote, ip_bytes, 0) + (__u16)~check;
		}
	}
#endif
	return (__u32)bpf_csum_diff(NULL, 0, (void *)w->quote, QUOTE_BYTES, 0);
}

static __always_inline int put_icmp_head(__u8 *icmp, const struct work *w, int what, __u32 mtu, const __u8 family)
{
	__builtin_memset(icmp, 0, 8);
	if (family == FAMILY_4) {
		icmp[0] = what == ICMP_REPLY_TTL ? 11 : 3;
		icmp[1] = what == ICMP_REPLY_TTL ? 0 : what == ICMP_REPLY_TOO_BIG ? 4 : 3;
		*(__be16 *)(icmp + 6) = bpf_htons(mtu);
	} else {
		icmp[0] = what == ICMP_REPLY_TTL ? 3 : what == ICMP_REPLY_TOO_BIG ? 2 : 1;
		icmp[1] = what == ICMP_REPLY_UNREACHABLE ? 4 : 0;
		*(__be32 *)(icmp + 4) = bpf_htonl(mtu);
	}
	return 0;
}

/* ICMP error about the packet at hand (RFC 792, 1191, 4443). It quotes the IP header and 20 bytes behind it. */
static __always_inline int send_icmp_family(hook_ctx *ctx, struct work *w, int what, __u32 mtu, const __u8 family)
{
	const __u32 ip_bytes = family == FAMILY_4 ? 20 : 40;
	__u32 l4_at = w->l4 - w->l3, quoted = l4_at + 20, zero = 0;
	struct reply6 *reply = bpf_map_lookup_elem(&scratch_reply, &zero);
	__u64 sum;
	__u8 *icmp;

	if (!reply || w->fragment == FRAGMENT_LATER) /* RFC 1122, 3.2.2: never about those */
		return VERDICT_DROP;
	if (quoted > w->length)
		quoted = w->length;
	if (quoted < ip_bytes || quoted > QUOTE_BYTES)
		return VERDICT_DROP;
	__builtin_memset(w->quote, 0, QUOTE_BYTES);
	if (load_bytes(ctx, w->l3, w->quote, quoted))
		return VERDICT_DROP;
	icmp = family == FAMILY_4 ? ((struct reply4 *)reply)->icmp : reply->icmp;
	put_icmp_head(icmp, w, what, mtu, family);
	sum = quote_sum(w, l4_at, family) + sum_words(icmp, 8);
	if (family == FAMILY_4) {
		fill_ipv4(&((struct reply4 *)reply)->ip, w, ip_bytes + 8 + quoted, IPPROTO_ICMP);
	} else {
		sum += pseudo_sum(w, 8 + quoted, IPPROTO_ICMPV6, family);
		fill_ipv6(&reply->ip, w, 8 + quoted, IPPROTO_ICMPV6);
	}
	*(__u16 *)(icmp + 2) = ~fold64(sum);
	if (cut_to(ctx, w->l3 + quoted) || insert_behind_link(ctx, w->l3, ip_bytes + 8) ||
	    store_bytes(ctx, w->l3, reply, ip_bytes + 8) || turn_around(ctx)) {
		count_reason(REASON_ERROR);
		return VERDICT_DROP;
	}
	count_reason(REASON_ICMP_SENT);
	return send_back(ctx);
}

/* Global functions: verified once, not for each way that leads here. */
__noinline int send_rst4(hook_ctx *ctx)
{
	struct work *w = get_work();

	return w ? send_rst_family(ctx, w, FAMILY_4) : VERDICT_DROP;
}

__noinline int send_rst6(hook_ctx *ctx)
{
	struct work *w = get_work();

	return w ? send_rst_family(ctx, w, FAMILY_6) : VERDICT_DROP;
}

__noinline int send_icmp4(hook_ctx *ctx, int what, __u32 mtu)
{
	struct work *w = get_work();

	return w ? send_icmp_family(ctx, w, what, mtu, FAMILY_4) : VERDICT_DROP;
}

__noinline int send_icmp6(hook_ctx *ctx, int what, __u32 mtu)
{
	struct work *w = get_work();

	return w ? send_icmp_family(ctx, w, what, mtu, FAMILY_6) : VERDICT_DROP;
}

static __always_inline int send_rst(hook_ctx *ctx, const __u8 family)
{
	return family == FAMILY_4 ? send_rst4(ctx) : send_rst6(ctx);
}

static __always_inline int send_icmp(hook_ctx *ctx, int what, __u32 mtu, const __u8 family)
{
	return family == FAMILY_4 ? send_icmp4(ctx, what, mtu) : send_icmp6(ctx, what, mtu);
}

#endif
