/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is looked up once per flow or fragment. */
#ifndef AMPHORA_LAYOUT_LOOKUPS_H
#define AMPHORA_LAYOUT_LOOKUPS_H

#include "layout_control.h"

/* ---- things that may be forgotten (LRU) ------------------------------------------------- */

struct fragment_key {
	struct ip_addr saddr, daddr;
	__be32 id;
	__u32 protocol;
};

/* Ports of the datagram's first fragment: the flow key follows from them. */
struct fragment {
	__be16 sport, dport;
	__u32 stamp;
};

struct persist_key {
	__u32 pool;
	struct ip_addr client; /* masked */
};

struct persist {
	__u32 member;
	__u32 stamp;
};

/* ---- sources that a listener accepts (LPM trie) ----------------------------------------- */

struct allowed_key {
	__u32 prefixlen; /* 32 for the listener + 128 for the address */
	__be32 listener;
	struct ip_addr source;
};

/* ---- interfaces of the namespace, by ifindex -------------------------------------------- */

struct interface {
	struct ip_addr snat4; /* source towards members on this interface; zero: none of this family */
	struct ip_addr snat6;
	__u32 mtu;
	__u32 reserved;
};

#endif
