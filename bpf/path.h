/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packet's path, the same for both hooks. First the plain case, a whole and untagged packet
 * of a known flow: one lookup, one rewrite, one redirect. Whatever else it may be takes the slow path.
 */
#ifndef AMPHORA_PATH_H
#define AMPHORA_PATH_H

#include "parse.h"
#include "forward.h"
#include "cache.h"
#include "tcp.h"
#include "open.h"
#include "halfopen.h"
#include "fragments.h"
#include "icmp.h"

static __always_inline int find_service(struct work *w)
{
	struct service *s;

	w->service_key.vip = w->dst;
	w->service_key.port = w->dport;
	w->service_key.protocol = w->protocol;
	w->service_key.reserved = 0;
	s = bpf_map_lookup_elem(&services, &w->service_key);
	if (!s)
		return -1;
	w->listener = s->listener;
	w->vip_ifindex = s->vip_ifindex;
	w->exclude = NO_MEMBER;
	w->retries = 0;
	return 0;
}

static __always_inline int is_snat_port(const struct control *ctl, __be16 port)
{
	__u16 host = bpf_ntohs(port);

	return host >= ctl->snat_port_min && host <= ctl->snat_port_max;
}

/* A piece without ports. What has a record but no flow belongs to the kernel, like its first piece. */
static __always_inline int handle_later_fragment(hook_ctx *ctx, struct work *w, const __u8 family)
{
	struct flow_common *f;

	if (recall_fragment(w)) {
		count_reason(REASON_FRAGMENT_ORPHAN);
		return VERDICT_DROP;
	}
	set_packet_key(w);
	f = find_flow(&w->key, family);
	if (!f)
		f = find_half_open(&w->key, family);
	count_reason(f ? REASON_FRAGMENT : REASON_NO_FLOW);
	return f ? forward(ctx, w, f, family) : VERDICT_PASS;
}

#define UNKNOWN (-1)

static __always_inline int handle(hook_ctx *ctx, struct work *w, const __u8 family)
{
	struct control *ctl = get_control();
	struct flow_common *f;
	int verdict, served;

	if (!ctl || !may_be_ours(ctl, &w->dst)) {
		count_reason(REASON_NOT_OURS);
		return VERDICT_PASS;
	}
	if (w->protocol == (family == FAMILY_4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return family == FAMILY_4 ? handle_icmp4(ctx) : handle_icmp6(ctx);
	if (w->protocol != IPPROTO_TCP && w->protocol != IPPROTO_UDP && w->protocol != IPPROTO_SCTP) {
		count_reason(REASON_NOT_OURS);
		return VERDICT_PASS;
	}
	if (w->fragment == FRAGMENT_LATER)
		return handle_later_fragment(ctx, w, family);
	set_packet_key(w);
	if (w->fragment == FRAGMENT_FIRST)
		remember_fragment(w);
	/* A flood of SYNs ends here, before it costs more lookups. */
	served = w->protocol == IPPROTO_TCP && is_opening(w) ? !find_service(w) : UNKNOWN;
	if (served == 1 && is_guarded(ctl, w->listener))
		return VERDICT_DROP;
	f = find_flow(&w->key, family);
	if (f) {
		if (w->protocol != IPPROTO_TCP || !follow_tcp(w, f, family))
			return forward(ctx, w, f, family);
	}
	if (served == UNKNOWN)
		served = !find_service(w);
	if (!served && !is_snat_port(ctl, w->dport) && w->protocol != IPPROTO_SCTP) {
		count_reason(REASON_NOT_OURS);
		return VERDICT_PASS;
	}
	f = find_half_open(&w->key, family);
	if (f)
		verdict = handle_half_open(ctx, w, f, family);
	else
		verdict = served && w->protocol == IPPROTO_TCP ? handle_recent(ctx, w, ctl, family) : HANDLED_NOT;
	if (verdict != HANDLED_NOT)
		return verdict;
	if (!served) {
		count_reason(REASON_NOT_OURS);
		return VERDICT_PASS;
	}
	if (!is_opening(w)) {
		count_reason(REASON_NO_FLOW);
		return VERDICT_PASS;
	}
	return open_flow(ctx, w, family);
}

/* Global functions: each is verified once. */
__noinline int handle4(hook_ctx *ctx)
{
	struct work *w = get_work();

	return w ? handle(ctx, w, FAMILY_4) : VERDICT_PASS;
}

__noinline int handle6(hook_ctx *ctx)
{
	struct work *w = get_work();

	return w ? handle(ctx, w, FAMILY_6) : VERDICT_PASS;
}

#define HEADERS_MAX (ETH_HLEN + 4 + 60 + 60)

/* Fills the packet part of the work area. Returns the family, or 0: not for us. */
static __always_inline int read_packet(hook_ctx *ctx)
{
	struct work *w = get_work();
	int tci = -1, result;

	if (!w)
		return 0;
#ifdef HOOK_TC
	if (ctx->vlan_present)
		tci = ctx->vlan_tci;
	make_linear(ctx, HEADERS_MAX);
#endif
	w->ifindex = ingress(ctx);
	result = parse(packet_start(ctx), packet_end(ctx), tci, w);
	if (result == PARSE_OK)
		return w->family;
	count_reason(result == PARSE_OTHER ? REASON_NOT_OURS : REASON_MALFORMED);
	return 0;
}

static __always_inline int slow_path(hook_ctx *ctx)
{
	int family = read_packet(ctx);

	if (family == FAMILY_4)
		return handle4(ctx);
	return family == FAMILY_6 ? handle6(ctx) : VERDICT_PASS;
}

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

/* IP bytes before the payload, or 0: not plain after all. */
static __always_inline __u32 plain_header(void *l4, void *end, __u8 protocol, __u32 ip_bytes)
{
	__u8 *bytes = l4;

	if (protocol == IPPROTO_UDP)
		return ip_bytes + 8;
	if (protocol != IPPROTO_TCP || l4 + 20 > end || bytes[13] & TCP_STATE_FLAGS)
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
