/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packet's path, the same for both hooks. First the plain case, a whole and untagged packet
 * of a known flow: one lookup, one rewrite, one redirect. Whatever else it may be takes the slow path.
 */
#ifndef AMPHORA_PATH_H
#define AMPHORA_PATH_H

#include "parse.h"
#include "forward.h"
#include "open.h"
#include "halfopen.h"
#include "fragments.h"
#include "icmp.h"

/* FIN, RST and SYN move a flow's state; only they touch the twin. -1: forget the flow and choose again. */
static __always_inline int follow_tcp(struct work *w, struct flow_common *f, const __u8 family)
{
	struct flow_common *twin, *client, *other;
	__u32 state = f->state;

	if (w->tcp_flags & TCP_SYN && !(w->tcp_flags & TCP_ACK)) {
		/* A client's port comes round. Its old member half keeps the SNAT port in quarantine. */
		if (state & FLOW_FROM_CLIENT && state & FLOW_CLOSED)
			return delete_flow(&w->key, family) ? 0 : -1;
		return 0;
	}
	if (!(w->tcp_flags & (TCP_FIN | TCP_RST)) || state & FLOW_CLOSED)
		return 0;
	set_twin_key(&w->client_key, f, w->protocol, family);
	twin = find_flow(&w->client_key, family);
	client = state & FLOW_FROM_CLIENT ? f : twin;
	other = state & FLOW_FROM_CLIENT ? twin : f;
	if (w->tcp_flags & TCP_FIN && !(w->tcp_flags & TCP_RST)) {
		__sync_fetch_and_or(&f->state, FLOW_FIN);
		if (twin)
			__sync_fetch_and_or(&twin->state, FLOW_TWIN_FIN);
		if (!(f->state & FLOW_TWIN_FIN))
			return 0;
	}
	if (client)
		close_flow(client, other, state & FLOW_FROM_CLIENT ? &w->key : &w->client_key, family, w->protocol,
			   w->tcp_flags & TCP_RST);
	return 0;
}

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

static __always_inline int is_opening(const struct work *w)
{
	return w->protocol != IPPROTO_TCP || (w->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

#define HANDLED_NOT (-1) /* go on: nothing has been decided */

/* A packet that a half-open flow knows. */
static __always_inline int handle_half_open(hook_ctx *ctx, struct work *w, struct flow_common *f, const __u8 family)
{
	int answered = f->state & FLOW_ANSWERED;

	if (w->protocol == IPPROTO_TCP) {
		if (!(f->state & FLOW_FROM_CLIENT))
			return from_member_half_open(ctx, w, f, family);
		if (is_opening(w))
			return gives_up(w, f, family) ? HANDLED_NOT : forward(ctx, w, f, family);
		if (w->tcp_flags & TCP_RST) {
			int verdict;

			if (collect_halves(w, f, family))
				return VERDICT_DROP;
			verdict = forward(ctx, w, f, family);
			drop_halves(w, family);
			return verdict;
		}
		if (!answered || !(w->tcp_flags & TCP_ACK))
			return forward(ctx, w, f, family);
	}
	switch (promote(w, f, family)) {
	case PROMOTED:
		break;
	case PROMOTE_LOST:
		delete_half_open(&w->key, family);
		return HANDLED_NOT;
	default:
		return VERDICT_DROP; /* no room: whoever sent it repeats it */
	}
	f = find_flow(&w->key, family);
	if (!f)
		return VERDICT_DROP;
	if (w->protocol == IPPROTO_TCP)
		follow_tcp(w, f, family);
	return forward(ctx, w, f, family);
}

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
	if (!f) {
		count_reason(REASON_FRAGMENT_ORPHAN);
		return VERDICT_DROP;
	}
	count_reason(REASON_FRAGMENT);
	return forward(ctx, w, f, family);
}

static __always_inline int handle(hook_ctx *ctx, struct work *w, const __u8 family)
{
	struct control *ctl = get_control();
	struct flow_common *f;
	int verdict;

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
	f = find_flow(&w->key, family);
	if (f) {
		if (w->fragment == FRAGMENT_FIRST)
			remember_fragment(w);
		if (w->protocol != IPPROTO_TCP || !follow_tcp(w, f, family))
			return forward(ctx, w, f, family);
	}
	if (find_service(w) && !is_snat_port(ctl, w->dport) && w->protocol != IPPROTO_SCTP) {
		count_reason(REASON_NOT_OURS);
		return VERDICT_PASS;
	}
	if (w->fragment == FRAGMENT_FIRST)
		remember_fragment(w);
	f = find_half_open(&w->key, family);
	if (f) {
		__u32 exclude, retries;

		verdict = handle_half_open(ctx, w, f, family);
		if (verdict != HANDLED_NOT)
			return verdict;
		exclude = w->exclude;
		retries = w->retries;
		if (find_service(w))
			return VERDICT_PASS;
		w->exclude = exclude;
		w->retries = retries;
	} else if (find_service(w)) {
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
__noinline int read_packet(hook_ctx *ctx)
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
static __always_inline int is_current(const struct flow_common *f, const struct control *ctl, __u32 length, int segmented)
{
	return f->generation == ctl->generation && !f->vlan && (length <= f->mtu || segmented);
}

#ifdef HOOK_XDP
static __always_inline void rewrite_l4(void *l4, int tcp, const struct flow_common *f)
{
	*(__u32 *)l4 = *(const __u32 *)&f->new_sport;
	if (tcp)
		*(__u16 *)(l4 + CHECK_OFFSET_TCP) =
			checksum_add(*(__u16 *)(l4 + CHECK_OFFSET_TCP), f->l4_delta);
	else
		rewrite_check(l4 + CHECK_OFFSET_UDP, f->l4_delta, 1);
}
#endif

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

/* Under tc a function of its own, for the sake of the stack that the slow path needs. */
#ifdef HOOK_TC
#define PLAIN static __noinline
#else
#define PLAIN static __always_inline
#endif

PLAIN int plain_ipv4(hook_ctx *ctx)
{
	void *data = packet_start(ctx), *end = packet_end(ctx);
	struct iphdr *ip = data + ETH_HLEN;
	void *l4 = (void *)(ip + 1);
	struct control *ctl = get_control();
	struct flow_common *f;
	__u32 length, payload, ifindex;
	__u64 key[2];
	int tcp;

	if (l4 + 8 > end || !ctl)
		return PLAIN_NOT;
	/* version, header length, no fragment, TTL */
	if (*(__u8 *)ip != 0x45 || ip->frag_off & bpf_htons(IP_MORE_FRAGMENTS | IP_OFFSET_MASK) || ip->ttl <= 1)
		return PLAIN_NOT;
	tcp = ip->protocol == IPPROTO_TCP;
	length = bpf_ntohs(ip->tot_len);
	if (tcp) {
		__u8 *bytes = l4;

		if (l4 + 20 > end || bytes[13] & TCP_STATE_FLAGS)
			return PLAIN_NOT;
		payload = sizeof(*ip) + (bytes[12] >> 4) * 4;
	} else if (ip->protocol == IPPROTO_UDP) {
		payload = sizeof(*ip) + 8;
	} else {
		return PLAIN_NOT;
	}
	payload = length > payload ? length - payload : 0;
	/* Two 64-bit stores: a key written field by field stalls the lookup's loads. */
	key[0] = *(__u64 *)&ip->saddr;
	key[1] = *(__u32 *)l4 | (__u64)ip->protocol << 32;
	f = find_flow(key, FAMILY_4);
	if (!f) {
		if (is_local_bit(ctl, local_bit(bpf_htonl(0xffff) ^ (__u32)(key[0] >> 32))))
			return PLAIN_NOT;
		count_reason(REASON_NOT_OURS);
		return VERDICT_PASS;
	}
	if (!is_current(f, ctl, length, is_segmented_later(ctx)))
		return PLAIN_NOT;
	ifindex = f->ifindex;
	touch_flow(f, f->state & FLOW_COUNT_PACKETS ? length : payload);
	rewrite_macs(data, f);
#ifdef HOOK_XDP
	rewrite_ipv4(ip, f);
	if (tcp && l4 + 20 > end)
		return VERDICT_DROP;
	rewrite_l4(l4, tcp, f);
#else
	{
		const struct flow4 *v = (void *)f - COMMON4;
		__u16 addresses = fold64(diff32(key[0], v->new_saddr) + diff32(key[0] >> 32, v->new_daddr));
		__u16 ports = port_delta(key[1], key[1] >> 16, f);

		rewrite_ipv4(ip, f);
		*(__u32 *)l4 = *(const __u32 *)&f->new_sport;
		if (fix_l4_check(ctx, ETH_HLEN + sizeof(*ip), tcp, addresses, ports))
			return VERDICT_DROP;
	}
#endif
	return send_on(ctx, ifindex);
}

PLAIN int plain_ipv6(hook_ctx *ctx)
{
	void *data = packet_start(ctx), *end = packet_end(ctx);
	struct ipv6hdr *ip = data + ETH_HLEN;
	void *l4 = (void *)(ip + 1);
	struct control *ctl = get_control();
	struct flow_common *f;
	__u32 length, payload, ifindex;
	__u64 key[5];
	int tcp;

	if (l4 + 8 > end || !ctl || ip->version != 6 || ip->hop_limit <= 1)
		return PLAIN_NOT;
	tcp = ip->nexthdr == IPPROTO_TCP;
	length = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	if (tcp) {
		__u8 *bytes = l4;

		if (l4 + 20 > end || bytes[13] & TCP_STATE_FLAGS)
			return PLAIN_NOT;
		payload = sizeof(*ip) + (bytes[12] >> 4) * 4;
	} else if (ip->nexthdr == IPPROTO_UDP) {
		payload = sizeof(*ip) + 8;
	} else {
		return PLAIN_NOT;
	}
	payload = length > payload ? length - payload : 0;
	key[0] = *(__u64 *)&ip->saddr.in6_u.u6_addr32[0];
	key[1] = *(__u64 *)&ip->saddr.in6_u.u6_addr32[2];
	key[2] = *(__u64 *)&ip->daddr.in6_u.u6_addr32[0];
	key[3] = *(__u64 *)&ip->daddr.in6_u.u6_addr32[2];
	key[4] = *(__u32 *)l4 | (__u64)ip->nexthdr << 32;
	f = find_flow(key, FAMILY_6);
	if (!f) {
		__u64 folded = key[2] ^ key[3];

		if (is_local_bit(ctl, local_bit((__u32)folded ^ (__u32)(folded >> 32))))
			return PLAIN_NOT;
		count_reason(REASON_NOT_OURS);
		return VERDICT_PASS;
	}
	if (!is_current(f, ctl, length, is_segmented_later(ctx)))
		return PLAIN_NOT;
	ifindex = f->ifindex;
	touch_flow(f, f->state & FLOW_COUNT_PACKETS ? length : payload);
	rewrite_macs(data, f);
#ifdef HOOK_XDP
	rewrite_ipv6(ip, f);
	if (tcp && l4 + 20 > end)
		return VERDICT_DROP;
	rewrite_l4(l4, tcp, f);
#else
	{
		const struct flow6 *v = (void *)f - COMMON6;
		__u64 sum = 0;
		__u16 ports = port_delta(key[4], key[4] >> 16, f);
		int i;

#pragma unroll
		for (i = 0; i < 4; i++)
			sum += diff32(ip->saddr.in6_u.u6_addr32[i], v->new_saddr[i]) +
			       diff32(ip->daddr.in6_u.u6_addr32[i], v->new_daddr[i]);
		rewrite_ipv6(ip, f);
		*(__u32 *)l4 = *(const __u32 *)&f->new_sport;
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
