/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Open and close of flows, told to user space: to followers while there are any, and to the log for
 * listeners that have one. A record that finds no room is counted, never waited for.
 */
#ifndef AMPHORA_EVENTS_H
#define AMPHORA_EVENTS_H

#include "maps.h"
#include "work.h"

/* What a record says beside its flow, in one argument. */
#define EVENT_HOW(type, protocol, end) ((__u32)(type) | (__u32)(protocol) << 8 | (__u32)(end) << 16)
#define HOW_TYPE(how) ((__u8)(how))
#define HOW_PROTOCOL(how) ((__u8)((how) >> 8))
#define HOW_END(how) ((__u8)((how) >> 16))

/* Refusals cost their clients nothing, so they may fill no more than half of the ring. */
#define REFUSALS_SHARE 2

static __always_inline int wants_event(__u8 type)
{
	struct control *ctl = get_control();

	if (type == FLOW_EVENT_REFUSE)
		return 0;
	return ctl && (ctl->flags & (type == FLOW_EVENT_OPEN ? CONTROL_EVENTS_OPEN : CONTROL_EVENTS_CLOSE));
}

static __always_inline int wants_log(__u32 listener_number, __u8 type)
{
	struct listener *l = bpf_map_lookup_elem(&listeners, &listener_number);

	return type != FLOW_EVENT_OPEN && l && l->flags & LISTENER_LOG;
}

static __always_inline void send_log(struct flow_event *e, __u8 type)
{
	if (type == FLOW_EVENT_REFUSE && bpf_ringbuf_query(&log_events, BPF_RB_AVAIL_DATA) >
						 bpf_ringbuf_query(&log_events, BPF_RB_RING_SIZE) / REFUSALS_SHARE)
		count_reason(REASON_LOG_LOST);
	else if (bpf_ringbuf_output(&log_events, e, sizeof(*e), 0))
		count_reason(REASON_LOG_LOST);
}

static __always_inline void begin_event(struct flow_event *e, __u32 how, const __u8 family)
{
	e->time_ns = bpf_ktime_get_ns();
	e->jiffies = bpf_jiffies64();
	e->type = HOW_TYPE(how);
	e->protocol = HOW_PROTOCOL(how);
	e->end = HOW_END(how);
	e->family = family;
}

static __always_inline __u32 idle_stamps(__u32 a, __u32 b)
{
	__u32 now = now_stamp(), first = now - a, second = now - b;

	return first < second ? first : second;
}

/* `common`: tail of the client half (struct flow_common); `twin`: that of the member half, or NULL. */
static __always_inline void fill_event(const void *key, const void *common, const void *twin, __u32 how,
				       const __u8 family)
{
	struct work *w = get_work();
	__u32 number;
	struct flow_event *e;
	struct member *m;

	if (!w)
		return;
	e = &w->event;
	if (family == FAMILY_4) {
		const struct flow4 *f = common - __builtin_offsetof(struct flow4, new_sport);

		number = f->member;
	} else {
		const struct flow6 *f = common - __builtin_offsetof(struct flow6, new_sport);

		number = f->member;
	}
	m = bpf_map_lookup_elem(&members, &number);
	e->listener = m ? m->listener : 0xffffffff;
	e->pool = m ? m->pool : NO_POOL;
	if (!wants_event(HOW_TYPE(how)) && !wants_log(e->listener, HOW_TYPE(how)))
		return;
	begin_event(e, how, family);
	if (family == FAMILY_4) {
		const struct flow_key4 *k = key;
		const struct flow4 *f = common - __builtin_offsetof(struct flow4, new_sport);
		const struct flow4 *t = twin ? twin - __builtin_offsetof(struct flow4, new_sport) : NULL;

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
		e->state = f->state;
		e->rx_bytes = f->bytes;
		e->tx_bytes = t ? t->bytes : 0;
		e->idle_stamps = idle_stamps(f->stamp, t ? t->stamp : f->stamp);
	} else {
		const struct flow_key6 *k = key;
		const struct flow6 *f = common - __builtin_offsetof(struct flow6, new_sport);
		const struct flow6 *t = twin ? twin - __builtin_offsetof(struct flow6, new_sport) : NULL;

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
		e->state = f->state;
		e->rx_bytes = f->bytes;
		e->tx_bytes = t ? t->bytes : 0;
		e->idle_stamps = idle_stamps(f->stamp, t ? t->stamp : f->stamp);
	}
	e->rx_bytes += w->last_rx;
	e->tx_bytes += w->last_tx;
	if (wants_event(HOW_TYPE(how)) && bpf_ringbuf_output(&events, e, sizeof(*e), 0))
		count_reason(REASON_EVENT_LOST);
	if (wants_log(e->listener, HOW_TYPE(how)))
		send_log(e, HOW_TYPE(how));
}

static __noinline void fill_event4(const void *key, const void *common, const void *twin, __u32 how)
{
	fill_event(key, common, twin, how, FAMILY_4);
}

static __noinline void fill_event6(const void *key, const void *common, const void *twin, __u32 how)
{
	fill_event(key, common, twin, how, FAMILY_6);
}

static __always_inline void emit_event(const void *key, const void *common, const void *twin, __u32 how,
				       const __u8 family)
{
	if (family == FAMILY_4)
		fill_event4(key, common, twin, how);
	else
		fill_event6(key, common, twin, how);
}

/* A new flow that nobody takes. Once per packet that is refused, so never for its own sake alone. */
__attribute__((unused)) static __noinline void log_refusal(__u32 how)
{
	struct work *w = get_work();
	struct flow_event *e;

	if (!w || !wants_log(w->listener, FLOW_EVENT_REFUSE))
		return;
	e = &w->event;
	__builtin_memset(e, 0, sizeof(*e));
	begin_event(e, how, w->family);
	e->client = w->src;
	e->vip = w->dst;
	e->client_port = w->sport;
	e->vip_port = w->dport;
	e->listener = w->listener;
	e->pool = w->pool;
	e->member = NO_MEMBER;
	e->created = e->jiffies;
	send_log(e, FLOW_EVENT_REFUSE);
}

#endif
