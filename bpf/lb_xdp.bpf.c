// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The datapath at XDP. */
#include "access_xdp.h"
#include "path.h"

SEC("xdp")
int lb_xdp(struct xdp_md *ctx)
{
	return path(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
