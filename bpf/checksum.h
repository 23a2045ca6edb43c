/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One's complement arithmetic (RFC 1624). A delta is added to the complement of a checksum. */
#ifndef AMPHORA_CHECKSUM_H
#define AMPHORA_CHECKSUM_H

#include <linux/types.h>
#include <bpf/bpf_endian.h>

/* What a TTL step from n to n - 1 adds: the word (TTL, protocol) falls by 0x0100. */
#define TTL_STEP_DELTA ((__u16)bpf_htons(0xfeff))

static __always_inline __u16 fold64(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* New checksum after `delta`, for headers that the checksum covers. */
static __always_inline __u16 checksum_add(__u16 check, __u16 delta)
{
	__u32 sum = (__u16)~check + delta;

	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Sum of 32-bit words leaving and arriving: delta = fold64(diff32(...) + diff32(...)). */
static __always_inline __u64 diff32(__u32 from, __u32 to)
{
	return (__u64)(__u32)~from + to;
}

#endif
