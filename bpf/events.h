/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Open and close of flows, told to user space. A record that finds no room is counted, never waited for. */
#ifndef AMPHORA_EVENTS_H
#define AMPHORA_EVENTS_H

#include "maps.h"
#include "work.h"

static __always_inline int wants_event(__u8 type)
{
	struct control *ctl = get_control();

	return ctl && (ctl->flags & (type == FLOW_EVENT_OPEN ? CONTROL_EVENTS_OPEN : CONTROL_EVENTS_CLOSE));
}

/* `common`: tail of the client half (struct flow_common); `tx_bytes`: what its twin has counted. */
static __always_inline void fill_event(__u8 type, const void *key, const void *common, __u64 tx_bytes, __u32 how,
				       const __u8 family)
{
	struct flow_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	__u32 number;
	struct member *m;

	if (!e) {
		count_reason(REASON_EVENT_LOST);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->time_ns = bpf_ktime_get_ns();
	e->jiffies = bpf_jiffies64();
	e->type = type;
	e->protocol = how;
	e->family = family;
	e->reset = how >> 8;
	e->tx_bytes = tx_bytes;
	if (family == FAMILY_4) {
		const struct flow_key4 *k = key;
		const struct flow4 *f = common - __builtin_offsetof(struct flow4, new_sport);

		map_ipv4(&e->client, k->saddr);
		map_ipv4(&e->vip, k->daddr);
		map_ipv4(&e->snat, f->new_saddr);
		map_ipv4(&e->member_address, f->new_daddr);
		e->client_port = k->sport;
		e->vip_port = k->dport;
		e->snat_port = f->new_sport;
		e->member_port = f->new_dport;
		e->member = f->member;
		e->created = f->created;
		e->rx_bytes = f->bytes;
	} else {
		const struct flow_key6 *k = key;
		const struct flow6 *f = common - __builtin_offsetof(struct flow6, new_sport);

		__builtin_memcpy(&e->client, k->saddr, 16);
		__builtin_memcpy(&e->vip, k->daddr, 16);
		__builtin_memcpy(&e->snat, f->new_saddr, 16);
		__builtin_memcpy(&e->member_address, f->new_daddr, 16);
		e->client_port = k->sport;
		e->vip_port = k->dport;
		e->snat_port = f->new_sport;
		e->member_port = f->new_dport;
		e->member = f->member;
		e->created = f->created;
		e->rx_bytes = f->bytes;
	}
	number = e->member;
	m = bpf_map_lookup_elem(&members, &number);
	e->listener = m ? m->listener : 0xffffffff;
	bpf_ringbuf_submit(e, 0);
}

static __noinline void fill_event4(__u8 type, const void *key, const void *common, __u64 tx_bytes, __u32 how)
{
	fill_event(type, key, common, tx_bytes, how, FAMILY_4);
}

static __noinline void fill_event6(__u8 type, const void *key, const void *common, __u64 tx_bytes, __u32 how)
{
	fill_event(type, key, common, tx_bytes, how, FAMILY_6);
}

static __always_inline void emit_event(__u8 type, const void *key, const void *common, __u64 tx_bytes,
				       const __u8 family, __u8 protocol, int reset)
{
	__u32 how = protocol | (reset ? 1 << 8 : 0);

	if (!wants_event(type))
		return;
	if (family == FAMILY_4)
		fill_event4(type, key, common, tx_bytes, how);
	else
		fill_event6(type, key, common, tx_bytes, how);
}

#endif
