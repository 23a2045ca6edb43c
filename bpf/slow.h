/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every packet that is not plain, or not of a known flow: parsed in full, then asked about step by step. */
#ifndef AMPHORA_SLOW_H
#define AMPHORA_SLOW_H

#include "parse.h"
#include "tcp.h"
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
	/* Its flow may be on its way from the maps of another agent. TCP says it again. */
	if ((ctl->flags & CONTROL_TAKEOVER) && w->protocol == IPPROTO_TCP && !is_opening(w)) {
		count_reason(REASON_NO_FLOW);
		return VERDICT_DROP;
	}
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
	if (result == PARSE_OK && (is_cut_short(ctx, w->l3 + w->length) || is_martian(w)))
		result = PARSE_MALFORMED;
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

#endif
