/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The full parser: one VLAN tag, IPv4 with options, IPv6 with extension headers, fragments. */
#ifndef AMPHORA_PARSE_H
#define AMPHORA_PARSE_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/in.h>
#include "work.h"

#define MAX_EXTENSION_HEADERS 6
#define MAX_L4_OFFSET 512

#define IP_MORE_FRAGMENTS 0x2000
#define IP_OFFSET_MASK 0x1fff

#define PARSE_OK 0
#define PARSE_OTHER 1	  /* not IP: ARP and friends */
#define PARSE_MALFORMED 2 /* the kernel judges for itself */

static __always_inline int parse_l4(void *data, void *end, struct work *w)
{
	__u32 l4 = w->l4;
	__u32 l3 = w->l3;
	__u32 header = 0;

	w->sport = 0;
	w->dport = 0;
	w->tcp_flags = 0;
	w->payload = 0;
	PIN_REGISTER(l3);
	PIN_REGISTER(l4);
	if (l4 > MAX_L4_OFFSET || l3 > l4)
		return PARSE_MALFORMED;
	if (w->fragment == FRAGMENT_LATER) {
		/* all of it is payload */
	} else if (w->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = data + l4;

		if ((void *)(tcp + 1) > end)
			return PARSE_MALFORMED;
		header = tcp->doff * 4;
		if (header < sizeof(*tcp))
			return PARSE_MALFORMED;
		w->sport = tcp->source;
		w->dport = tcp->dest;
		w->tcp_flags = ((__u8 *)tcp)[13];
		w->mss = 0;
		if (w->tcp_flags & TCP_SYN && header > sizeof(*tcp) && (void *)(tcp + 1) + 4 <= end) {
			__u8 *option = (void *)(tcp + 1);

			if (option[0] == 2 && option[1] == 4)
				w->mss = option[2] << 8 | option[3];
		}
	} else if (w->protocol == IPPROTO_UDP || w->protocol == IPPROTO_SCTP) {
		__be16 *ports = data + l4;

		if (data + l4 + 8 > end)
			return PARSE_MALFORMED;
		w->sport = ports[0];
		w->dport = ports[1];
		header = w->protocol == IPPROTO_UDP ? 8 : 12;
	}
	header += l4 - l3;
	if (w->length < header)
		return PARSE_MALFORMED;
	w->payload = w->length - header;
	return PARSE_OK;
}

static __always_inline int parse_ipv4(void *data, void *end, struct work *w)
{
	struct iphdr *ip = data + w->l3;
	__u16 fragment;

	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return PARSE_MALFORMED;
	w->family = FAMILY_4;
	w->protocol = ip->protocol;
	w->ttl = ip->ttl;
	w->length = bpf_ntohs(ip->tot_len);
	w->l4 = w->l3 + ip->ihl * 4;
	map_ipv4(&w->src, ip->saddr);
	map_ipv4(&w->dst, ip->daddr);
	fragment = bpf_ntohs(ip->frag_off);
	w->fragment = fragment & IP_OFFSET_MASK ? FRAGMENT_LATER :
		      fragment & IP_MORE_FRAGMENTS ? FRAGMENT_FIRST : FRAGMENT_NONE;
	w->fragment_id = ip->id;
	return parse_l4(data, end, w);
}

struct extension_header {
	__u8 next;
	__u8 length; /* in units that the type decides, without the first */
	__be16 offset;
	__be32 id;
};

static __always_inline int parse_ipv6(void *data, void *end, struct work *w)
{
	struct ipv6hdr *ip = data + w->l3;
	__u32 offset = w->l3 + sizeof(*ip);
	__u8 next;
	int i;

	if ((void *)(ip + 1) > end || ip->version != 6)
		return PARSE_MALFORMED;
	w->family = FAMILY_6;
	w->ttl = ip->hop_limit;
	w->length = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	__builtin_memcpy(&w->src, &ip->saddr, 16);
	__builtin_memcpy(&w->dst, &ip->daddr, 16);
	w->fragment = FRAGMENT_NONE;
	next = ip->nexthdr;
	for (i = 0; i < MAX_EXTENSION_HEADERS; i++) {
		struct extension_header *extension = data + offset;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT && next != IPPROTO_AH)
			break;
		if ((void *)(extension + 1) > end)
			return PARSE_MALFORMED;
		if (next == IPPROTO_FRAGMENT) {
			__u16 fragment = bpf_ntohs(extension->offset);

			w->fragment = fragment & 0xfff8 ? FRAGMENT_LATER :
				      fragment & 1 ? FRAGMENT_FIRST : FRAGMENT_NONE;
			w->fragment_id = extension->id;
			offset += 8;
		} else if (next == IPPROTO_AH) {
			offset += (extension->length + 2) * 4;
		} else {
			/* segments left: this is not its destination yet (RFC 8200, 4.4) */
			if (next == IPPROTO_ROUTING && ((__u8 *)extension)[3])
				return PARSE_OTHER;
			offset += (extension->length + 1) * 8;
		}
		next = extension->next;
		if (offset > MAX_L4_OFFSET)
			return PARSE_MALFORMED;
		if (w->fragment == FRAGMENT_LATER)
			break;
	}
	w->protocol = next;
	w->l4 = offset;
	return parse_l4(data, end, w);
}

/*
 * From an address that no single machine has, or from the one that it calls: the kernel drops those, and
 * an answer of ours would go to many (RFC 1122, 3.2.1.3 and 3.2.2; RFC 4291, 2.5.2, 2.5.3 and 2.7).
 */
static __always_inline int is_martian(const struct work *w)
{
	__u8 first = *(const __u8 *)(w->family == FAMILY_4 ? &w->src.w[3] : &w->src.w[0]);

	if (same_address(&w->src, &w->dst))
		return 1;
	if (w->family == FAMILY_4)
		return first == 0 || first == 127 || first >= 224;
	return first == 0xff || (!(w->src.w[0] | w->src.w[1] | w->src.w[2]) && !(w->src.w[3] & ~bpf_htonl(1)));
}

/* Fills the packet part of `w`. `tci`: tag already taken from the frame (tc), or -1. */
static __always_inline int parse(void *data, void *end, int tci, struct work *w)
{
	struct ethhdr *eth = data;
	__be16 proto;

	/* A frame for many machines opens nothing and is not answered (RFC 1122, 3.2.2 and 4.2.3.10). */
	if ((void *)(eth + 1) > end || eth->h_dest[0] & 1)
		return PARSE_OTHER;
	w->l3 = sizeof(*eth);
	w->tagged = tci >= 0;
	w->vlan = tci >= 0 ? tci : 0;
	proto = eth->h_proto;
	if (proto == bpf_htons(ETH_P_8021Q) && tci < 0) {
		__be16 *tag = (void *)(eth + 1);

		if ((void *)(tag + 2) > end)
			return PARSE_OTHER;
		w->tagged = 1;
		w->vlan = bpf_ntohs(tag[0]);
		w->l3 = sizeof(*eth) + 4;
		proto = tag[1];
	}
	if (proto == bpf_htons(ETH_P_IP))
		return parse_ipv4(data, end, w);
	if (proto == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(data, end, w);
	return PARSE_OTHER;
}

#endif
