/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hot path: a whole and untagged packet of a known flow costs one lookup, one rewrite, one redirect. */
#ifndef AMPHORA_PLAIN_H
#define AMPHORA_PLAIN_H

#include "cache.h"
#include "forward.h"
#include "slow.h"

#define PLAIN_NOT (-1)
#define TCP_STATE_FLAGS (TCP_FIN | TCP_SYN | TCP_RST)

/* What stands between a known flow and the short way out. */
static __always_inline int is_current(const struct flow_common *f, const struct control *ctl, __u32 length,
				      int segmented)
{
	return f->generation == ctl->generation && !f->vlan && (length <= f->mtu || segmented);
}

/*
 * The values to rewrite with lie in the same order in a flow and in a cache line, so both serve:
 * `tail` points at new_sport, the addresses stand before it.
 */
static __always_inline void rewrite_plain(void *eth, void *l4, int tcp, const struct flow_common *tail)
{
	rewrite_macs(eth, tail);
	*(__u32 *)l4 = *(const __u32 *)&tail->new_sport;
#ifdef HOOK_XDP
	if (tcp)
		*(__u16 *)(l4 + CHECK_OFFSET_TCP) = checksum_add(*(__u16 *)(l4 + CHECK_OFFSET_TCP), tail->l4_delta);
	else
		rewrite_check(l4 + CHECK_OFFSET_UDP, tail->l4_delta, 1);
#endif
}

#ifdef HOOK_TC
/* Last of all: the helper invalidates every pointer into the packet. */
static __always_inline int fix_l4_check(hook_ctx *ctx, __u32 l4, int tcp, __u16 addresses, __u16 ports)
{
	__u32 at = l4 + (tcp ? CHECK_OFFSET_TCP : CHECK_OFFSET_UDP);
	__u64 udp = tcp ? 0 : BPF_F_MARK_MANGLED_0;

	return bpf_l4_csum_replace(ctx, at, 0, addresses, BPF_F_PSEUDO_HDR | udp) ||
	       bpf_l4_csum_replace(ctx, at, 0, ports, udp);
}
#endif

/*
 * To an address of ours, but of no flow and no service: HAProxy's connections. They need not pay for
 * the slow path. SNAT ports do: a half-open flow may know them.
 */
static __always_inline int is_for_kernel(const struct control *ctl, const struct service_key *key)
{
	if (is_snat_port(ctl, key->port) || bpf_map_lookup_elem(&services, key))
		return 0;
	count_reason(REASON_NOT_OURS);
	return 1;
}

/* Shorter than its headers, or longer than its frame. A super-packet's field may be too short to say. */
static __always_inline int is_length_wrong(hook_ctx *ctx, __u32 length, __u32 headers)
{
	if (length < headers)
		return !is_segmented_later(ctx);
	return is_cut_short(ctx, ETH_HLEN + length);
}

/* IP bytes before the payload, or 0: not plain after all. */
static __always_inline __u32 plain_header(void *l4, void *end, __u8 protocol, __u32 ip_bytes)
{
	__u8 *bytes = l4;

	if (protocol == IPPROTO_UDP)
		return ip_bytes + 8;
	if (protocol != IPPROTO_TCP || l4 + 20 > end || bytes[13] & TCP_STATE_FLAGS || bytes[12] >> 4 < 5)
		return 0;
	return ip_bytes + (bytes[12] >> 4) * 4;
}

/* Functions of their own where that can be borne, for the sake of the stack that the slow path needs (512 bytes). */
#ifdef HOOK_TC
static __noinline
#else
static __always_inline
#endif
int plain_ipv4(hook_ctx *ctx)
{
	void *data = packet_start(ctx), *end = packet_end(ctx);
	struct iphdr *ip = data + ETH_HLEN;
	void *l4 = (void *)(ip + 1);
	struct control *ctl = get_control();
	const struct flow_common *tail;
	struct cache_line4 *line;
	__u32 length, payload, ifindex, now;
	__u64 key[2];
	int tcp;

	if (l4 + 8 > end || !ctl)
		return PLAIN_NOT;
	/* version, header length, no fragment, TTL */
	if (*(__u8 *)ip != 0x45 || ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_OFFSET_MASK) || ip->ttl <= 1)
		return PLAIN_NOT;
	tcp = ip->protocol == IPPROTO_TCP;
	length = bpf_ntohs(ip->tot_len);
	payload = plain_header(l4, end, ip->protocol, sizeof(*ip));
	if (!payload)
		return PLAIN_NOT;
	if (is_length_wrong(ctx, length, payload))
		return PLAIN_NOT;
	payload = length > payload ? length - payload : 0;
	/* Two 64-bit stores: a key written field by field stalls the lookup's loads. */
	key[0] = *(__u64 *)&ip->saddr;
	key[1] = *(__u32 *)l4 | (__u64)ip->protocol << 32;
	if (!is_local_bit(ctl, local_bit(bpf_htonl(0xffff) ^ (__u32)(key[0] >> 32)))) {
		count_reason(REASON_NOT_OURS);
		return VERDICT_PASS;
	}
	now = now_stamp();
	line = cache_at4(key, ctl, bpf_get_smp_processor_id());
	if (line && line->addresses == key[0] && same_rest(line->rest, key[1]) && line->stamp == now &&
	    line->generation == ctl->generation && (length <= REST_MTU(line->rest) || is_segmented_later(ctx))) {
		__u8 bits = REST_BITS(line->rest);

		payload = bits & CACHE_COUNT_PACKETS ? length : payload;
		line->bytes += payload;
		count_packet(line->member, bits & CACHE_FROM_CLIENT, payload);
		ifindex = line->ifindex;
		tail = (void *)&line->new_sport;
	} else {
		struct flow_common *f = find_flow(key, FAMILY_4);

		if (!f) {
			struct service_key called = { .protocol = ip->protocol, .port = key[1] >> 16 };

			map_ipv4(&called.vip, ip->daddr);
			return is_for_kernel(ctl, &called) ? VERDICT_PASS : PLAIN_NOT;
		}
		if (!is_current(f, ctl, length, is_segmented_later(ctx)))
			return PLAIN_NOT;
		touch_flow(f, f->state & FLOW_COUNT_PACKETS ? length : payload);
		if (line && line->stamp != now)
			fill_line4(line, key, (void *)f - COMMON4, now, ctl->generation);
		ifindex = f->ifindex;
		tail = f;
	}
	if (tcp && l4 + 20 > end)
		return VERDICT_DROP;
#ifdef HOOK_XDP
	rewrite_ipv4(ip, tail);
	rewrite_plain(data, l4, tcp, tail);
#else
	{
		const struct flow4 *v = (void *)tail - COMMON4;
		__u16 addresses = fold64(diff32(key[0], v->new_saddr) + diff32(key[0] >> 32, v->new_daddr));
		__u16 ports = port_delta(key[1], key[1] >> 16, tail);

		rewrite_ipv4(ip, tail);
		rewrite_plain(data, l4, tcp, tail);
		if (fix_l4_check(ctx, ETH_HLEN + sizeof(*ip), tcp, addresses, ports))
			return VERDICT_DROP;
	}
#endif
	return send_on(ctx, ifindex);
}

static __noinline int plain_ipv6(hook_ctx *ctx)
{
	void *data = packet_start(ctx), *end = packet_end(ctx);
	struct ipv6hdr *ip = data + ETH_HLEN;
	void *l4 = (void *)(ip + 1);
	struct control *ctl = get_control();
	const struct flow_common *tail;
	struct cache_line6 *line;
	__u32 length, payload, ifindex, now;
	__u64 key[5], folded;
	int tcp;

	if (l4 + 8 > end || !ctl || ip->version != 6 || ip->hop_limit <= 1)
		return PLAIN_NOT;
	tcp = ip->nexthdr == IPPROTO_TCP;
	length = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	payload = plain_header(l4, end, ip->nexthdr, sizeof(*ip));
	if (!payload)
		return PLAIN_NOT;
	if (is_length_wrong(ctx, length, payload))
		return PLAIN_NOT;
	payload = length > payload ? length - payload : 0;
	key[0] = *(__u64 *)&ip->saddr.in6_u.u6_addr32[0];
	key[1] = *(__u64 *)&ip->saddr.in6_u.u6_addr32[2];
	key[2] = *(__u64 *)&ip->daddr.in6_u.u6_addr32[0];
	key[3] = *(__u64 *)&ip->daddr.in6_u.u6_addr32[2];
	key[4] = *(__u32 *)l4 | (__u64)ip->nexthdr << 32;
	folded = key[2] ^ key[3];
	if (!is_local_bit(ctl, local_bit((__u32)folded ^ (__u32)(folded >> 32)))) {
		count_reason(REASON_NOT_OURS);
		return VERDICT_PASS;
	}
	now = now_stamp();
	line = cache_at6(key, ctl, bpf_get_smp_processor_id());
	if (line && line->addresses[0] == key[0] && line->addresses[1] == key[1] && line->addresses[2] == key[2] &&
	    line->addresses[3] == key[3] && same_rest(line->rest, key[4]) && line->stamp == now &&
	    line->generation == ctl->generation && (length <= REST_MTU(line->rest) || is_segmented_later(ctx))) {
		__u8 bits = REST_BITS(line->rest);

		payload = bits & CACHE_COUNT_PACKETS ? length : payload;
		line->bytes += payload;
		count_packet(line->member, bits & CACHE_FROM_CLIENT, payload);
		ifindex = line->ifindex;
		tail = (void *)&line->new_sport;
	} else {
		struct flow_common *f = find_flow(key, FAMILY_6);

		if (!f) {
			struct service_key called = { .protocol = ip->nexthdr, .port = key[4] >> 16 };

			__builtin_memcpy(&called.vip, &key[2], 16);
			return is_for_kernel(ctl, &called) ? VERDICT_PASS : PLAIN_NOT;
		}
		if (!is_current(f, ctl, length, is_segmented_later(ctx)))
			return PLAIN_NOT;
		touch_flow(f, f->state & FLOW_COUNT_PACKETS ? length : payload);
		if (line && line->stamp != now)
			fill_line6(line, key, (void *)f - COMMON6, now, ctl->generation);
		ifindex = f->ifindex;
		tail = f;
	}
	if (tcp && l4 + 20 > end)
		return VERDICT_DROP;
#ifdef HOOK_XDP
	rewrite_ipv6(ip, tail);
	rewrite_plain(data, l4, tcp, tail);
#else
	{
		const struct flow6 *v = (void *)tail - COMMON6;
		__u64 sum = 0;
		__u16 ports = port_delta(key[4], key[4] >> 16, tail);
		int i;

#pragma unroll
		for (i = 0; i < 4; i++)
			sum += diff32(ip->saddr.in6_u.u6_addr32[i], v->new_saddr[i]) +
			       diff32(ip->daddr.in6_u.u6_addr32[i], v->new_daddr[i]);
		rewrite_ipv6(ip, tail);
		rewrite_plain(data, l4, tcp, tail);
		if (fix_l4_check(ctx, ETH_HLEN + sizeof(*ip), tcp, fold64(sum), ports))
			return VERDICT_DROP;
	}
#endif
	return send_on(ctx, ifindex);
}

#endif
