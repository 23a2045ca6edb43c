/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every key and value that the datapath shares with user space, and nothing else, in these parts.
 * TypeScript learns sizes, offsets and enums from the BTF of the compiled object.
 *
 * Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d, except in the
 * flow tables, which are split by family. A map has one writer: structs named
 * *_state and *_counters belong to the kernel, all others to the agent.
 */
#ifndef AMPHORA_LAYOUT_H
#define AMPHORA_LAYOUT_H

#include "layout_control.h"
#include "layout_services.h"
#include "layout_flows.h"
#include "layout_lookups.h"
#include "layout_reports.h"

#endif
