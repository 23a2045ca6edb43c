/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SYNs from random sources, written to an interface as frames:
 *   flood INTERFACE SOURCE_MAC TARGET_MAC TARGET PORT COUNT PER_SECOND
 * Sources are random in 100.64.0.0/10 or 2001:db8:f::/48, with random ports. Prints {"sent","milliseconds"}.
 */
#include "common.h"
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <net/if.h>

#define BATCH 64
#define LARGEST 80

static uint64_t seed = 88172645463325252ull;

static uint32_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed >> 16;
}

static uint32_t sum16(const void *data, size_t length, uint32_t sum)
{
	const uint16_t *words = data;

	for (size_t i = 0; i < length / 2; i++)
		sum += words[i];
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void parse_mac(const char *text, uint8_t *mac)
{
	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6) {
		fprintf(stderr, "not a MAC address: %s\n", text);
		exit(2);
	}
}

/* Fills in what differs from SYN to SYN. Returns the frame's length. */
static size_t make_syn(uint8_t *frame, const struct address *target)
{
	struct ethhdr *ethernet = (void *)frame;
	struct tcphdr tcp = { .dest = target->v4.sin_port, .syn = 1, .doff = 5, .window = htons(64240) };
	uint32_t sum = htons(IPPROTO_TCP) + htons(sizeof(tcp));
	size_t header;

	tcp.source = htons(1024 + next_random() % 64000);
	tcp.seq = next_random();
	if (target->any.sa_family == AF_INET) {
		struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP,
				    .tot_len = htons(sizeof(ip) + sizeof(tcp)),
				    .saddr = htonl(0x64400000 | (next_random() & 0x3fffff)),
				    .daddr = target->v4.sin_addr.s_addr };

		ip.check = fold(sum16(&ip, sizeof(ip), 0));
		sum = sum16(&ip.saddr, 8, sum);
		ethernet->h_proto = htons(ETH_P_IP);
		memcpy(frame + sizeof(*ethernet), &ip, header = sizeof(ip));
	} else {
		struct ipv6hdr ip = { .version = 6, .nexthdr = IPPROTO_TCP, .hop_limit = 64,
				      .payload_len = htons(sizeof(tcp)), .daddr = target->v6.sin6_addr };

		ip.saddr.s6_addr32[0] = htonl(0x20010db8);
		ip.saddr.s6_addr32[1] = htonl(0x000f0000);
		ip.saddr.s6_addr32[2] = next_random();
		ip.saddr.s6_addr32[3] = next_random();
		sum = sum16(&ip.saddr, 32, sum);
		ethernet->h_proto = htons(ETH_P_IPV6);
		memcpy(frame + sizeof(*ethernet), &ip, header = sizeof(ip));
	}
	tcp.check = fold(sum16(&tcp, sizeof(tcp), sum));
	memcpy(frame + sizeof(*ethernet) + header, &tcp, sizeof(tcp));
	return sizeof(*ethernet) + header + sizeof(tcp);
}

int main(int argc, char **argv)
{
	static uint8_t frames[BATCH][LARGEST];
	struct iovec vectors[BATCH];
	struct mmsghdr messages[BATCH] = { 0 };
	struct sockaddr_ll place = { .sll_family = AF_PACKET };
	struct address target;
	long count, per_second, sent = 0;
	int64_t begin = now_ms();
	int fd, one = 1;

	if (argc != 8) {
		fprintf(stderr, "usage: flood INTERFACE SOURCE_MAC TARGET_MAC TARGET PORT COUNT PER_SECOND\n");
		return 2;
	}
	tool_start();
	seed ^= (uint64_t)getpid() << 32 | (uint32_t)begin;
	target = parse_address(argv[4], atoi(argv[5]));
	count = atol(argv[6]);
	per_second = atol(argv[7]);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	place.sll_ifindex = if_nametoindex(argv[1]);
	if (fd < 0 || !place.sll_ifindex || bind(fd, (void *)&place, sizeof(place)))
		die(argv[1]);
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	for (int i = 0; i < BATCH; i++) {
		parse_mac(argv[3], frames[i]);
		parse_mac(argv[2], frames[i] + 6);
		vectors[i].iov_base = frames[i];
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (sent < count) {
		long left = count - sent, due = (now_ms() - begin) * per_second / 1000 + BATCH - sent;
		int batch = left < BATCH ? left : BATCH, done;

		if (due < BATCH) {
			usleep(500);
			continue;
		}
		for (int i = 0; i < batch; i++)
			vectors[i].iov_len = make_syn(frames[i], &target);
		done = sendmmsg(fd, messages, batch, 0);
		if (done < 0 && errno != ENOBUFS && errno != EAGAIN)
			die("sendmmsg");
		sent += done > 0 ? done : 0;
	}
	printf("{\"sent\":%ld,\"milliseconds\":%ld}\n", sent, (long)(now_ms() - begin));
	return 0;
}
