// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What user space runs: the end of flows that nobody uses any more, and the clock that stamps them. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "cache.h"
#include "flows.h"

struct reap_turn {
	struct reap_context *ctx;
	__u32 idle_before;
	__u32 force;
	__u32 reaped;
};

static __always_inline int is_idle(const struct flow_common *f, const struct reap_turn *t)
{
	return t->force || (__s32)(f->stamp - t->idle_before) < 0;
}

/*
 * Both halves are read again: a packet may have come since user space looked. The client half goes
 * first, and whoever takes it out counts the flow as closed.
 */
static __always_inline long reap_pair(const void *key, __u8 protocol, struct reap_turn *t, const __u8 family)
{
	struct flow_common *client = find_flow(key, family), *twin;
	union {
		struct flow_key4 key4;
		struct flow_key6 key6;
	} twin_key;
	__u32 before, member_number;

	if (!client || !(client->state & FLOW_FROM_CLIENT) || !is_idle(client, t))
		return 0;
	set_twin_key(&twin_key, client, protocol, family);
	twin = find_flow(&twin_key, family);
	if (twin && !is_idle(twin, t))
		return 0;
	forget_lines(key, client, family);
	if (twin)
		forget_lines(&twin_key, twin, family);
	before = __sync_fetch_and_and(&client->state, ~FLOW_OPEN);
	member_number = client->member;
	if (before & FLOW_OPEN) {
		count_closed(member_number);
		emit_event(key, client, twin, EVENT_HOW(FLOW_EVENT_EXPIRE, protocol, t->force ? FLOW_END_EVICTED : FLOW_END_IDLE),
			   family);
	}
	if (delete_flow(key, family))
		return 0;
	if (twin)
		delete_flow(&twin_key, family);
	t->reaped++;
	return 0;
}

static long reap_turn4(__u32 turn, struct reap_turn *t)
{
	struct flow_key4 *key = bpf_map_lookup_elem(&reap_keys4, &turn);

	return key ? reap_pair(key, key->protocol, t, FAMILY_4) : 1;
}

static long reap_turn6(__u32 turn, struct reap_turn *t)
{
	struct flow_key6 *key = bpf_map_lookup_elem(&reap_keys6, &turn);

	return key ? reap_pair(key, key->protocol, t, FAMILY_6) : 1;
}

SEC("syscall")
int reap(struct reap_context *ctx)
{
	struct reap_turn t = { .idle_before = ctx->idle_before, .force = ctx->force };

	if (ctx->family == FAMILY_4)
		bpf_loop(ctx->count, reap_turn4, &t, 0);
	else
		bpf_loop(ctx->count, reap_turn6, &t, 0);
	ctx->reaped = t.reaped;
	return 0;
}

SEC("syscall")
int clock(struct clock_context *ctx)
{
	ctx->jiffies = bpf_jiffies64();
	ctx->time_ns = bpf_ktime_get_ns();
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
