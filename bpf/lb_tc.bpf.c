// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The datapath at tc ingress: same path, same maps. */
#include "access_tc.h"
#include "path.h"

SEC("tc")
int lb_tc(struct __sk_buff *ctx)
{
	return path(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
