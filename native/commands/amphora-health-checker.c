// SPDX-License-Identifier: Apache-2.0
/*
 * amphora-health-checker sctp [-t SECONDS] ADDRESS PORT (contract 4.5.2): sends an SCTP INIT on a raw socket.
 * 0: INIT ACK came (and was answered by ABORT, so that the peer forgets us); 1: ABORT; 2: nothing in time, or
 * wrong usage; 3: another chunk; 4: no socket. Needs CAP_NET_RAW.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWERED = 0, ABORTED = 1, SILENT = 2, WRONG_USAGE = 2, OTHER_CHUNK = 3, NOT_SENT = 4 };
enum { CHUNK_INIT = 1, CHUNK_INIT_ACK = 2, CHUNK_ABORT = 6 };

#define DEFAULT_SECONDS 3
/* The verification tag of the ABORT is the one that the INIT ACK names: no T bit. */
#define LENGTH_INIT     20

/* RFC 9260, 3.1 and 3.3.2; all fields in network order. */
struct common_header {
	uint16_t source;
	uint16_t destination;
	uint32_t tag;
	uint32_t checksum;
};

struct chunk_header {
	uint8_t type;
	uint8_t flags;
	uint16_t length;
};

struct init_chunk {
	struct chunk_header header;
	uint32_t tag;
	uint32_t window;
	uint16_t outbound_streams;
	uint16_t inbound_streams;
	uint32_t tsn;
};

struct init_packet {
	struct common_header common;
	struct init_chunk init;
};

struct abort_packet {
	struct common_header common;
	struct chunk_header abort;
};

/* CRC32c, reflected (RFC 9260, appendix A). Goes onto the wire with its low byte first. */
static uint32_t crc32c(const uint8_t *data, size_t size)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < size; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0x82f63b78u & -(crc & 1));
	}
	return ~crc;
}

static void seal(struct common_header *packet, size_t size)
{
	uint32_t crc;

	packet->checksum = 0;
	crc = crc32c((const uint8_t *)packet, size);
	for (int i = 0; i < 4; i++)
		((uint8_t *)&packet->checksum)[i] = (uint8_t)(crc >> 8 * i);
}

static int has_right_checksum(uint8_t *packet, size_t size)
{
	struct common_header *header = (struct common_header *)packet;
	const uint32_t came = header->checksum;

	seal(header, size);
	return header->checksum == came;
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* A raw IPv4 socket delivers the IP header too, an IPv6 one does not. */
static size_t ip_header_size(int family, const uint8_t *packet, size_t size)
{
	return family == AF_INET && size > 0 ? (packet[0] & 0x0fu) * 4u : 0;
}

static int send_abort(int fd, const struct init_packet *sent, uint32_t tag)
{
	struct abort_packet packet = {
		.common = { sent->common.source, sent->common.destination, tag, 0 },
		.abort = { CHUNK_ABORT, 0, htons(sizeof(struct chunk_header)) },
	};

	seal(&packet.common, sizeof(packet));
	return send(fd, &packet, sizeof(packet), 0) < 0;
}

/* The meaning of a packet, or -1 where it is not an answer to ours. */
static int judge(int fd, const struct init_packet *sent, uint8_t *packet, size_t size)
{
	const struct common_header *common = (const struct common_header *)packet;
	const struct init_chunk *chunk = (const struct init_chunk *)(common + 1);
	/* An ABORT with the T bit reflects the tag of our INIT, which is 0. */
	const int is_ours = size >= sizeof(*common) + sizeof(struct chunk_header) &&
			    common->source == sent->common.destination &&
			    common->destination == sent->common.source;

	if (!is_ours || !has_right_checksum(packet, size))
		return -1;
	if (common->tag != sent->init.tag && !(chunk->header.type == CHUNK_ABORT && common->tag == 0))
		return -1;
	if (chunk->header.type == CHUNK_ABORT)
		return ABORTED;
	if (chunk->header.type != CHUNK_INIT_ACK || size < sizeof(*common) + sizeof(*chunk))
		return OTHER_CHUNK;
	send_abort(fd, sent, chunk->tag);
	return ANSWERED;
}

static int await_answer(int fd, int family, const struct init_packet *sent, long long end)
{
	uint8_t buffer[65536] __attribute__((aligned(8)));

	for (;;) {
		struct pollfd readable = { .fd = fd, .events = POLLIN };
		const long long left = end - now_ms();
		size_t skip;
		ssize_t size;
		int verdict;

		if (left <= 0 || poll(&readable, 1, (int)left) == 0)
			return SILENT;
		size = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (size < 0)
			continue; /* an ICMP error, cleared by this call: the peer may still come up in time */
		skip = ip_header_size(family, buffer, (size_t)size);
		if (skip > (size_t)size)
			continue;
		memmove(buffer, buffer + skip, (size_t)size - skip); /* aligned again */
		verdict = judge(fd, sent, buffer, (size_t)size - skip);
		if (verdict >= 0)
			return verdict;
	}
}

static int check(const struct addrinfo *target, uint16_t port, double seconds)
{
	const long long end = now_ms() + (long long)(seconds * 1000);
	struct init_packet packet = {};
	uint16_t source;
	int fd = socket(target->ai_family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_SCTP), verdict;

	if (fd < 0 || connect(fd, target->ai_addr, target->ai_addrlen)) {
		perror("amphora-health-checker");
		return fd < 0 ? NOT_SENT : SILENT;
	}
	if (getrandom(&packet.init.tag, 4, 0) != 4 || getrandom(&packet.init.tsn, 4, 0) != 4 ||
	    getrandom(&source, 2, 0) != 2)
		return NOT_SENT;
	packet.init.tag |= htonl(1); /* never 0 */
	packet.common.source = htons((uint16_t)(1025 + source % 9215)); /* the kernel's side of the port range */
	packet.common.destination = htons(port);
	packet.init.header = (struct chunk_header){ CHUNK_INIT, 0, htons(LENGTH_INIT) };
	packet.init.window = htonl(65536);
	packet.init.outbound_streams = htons(1);
	packet.init.inbound_streams = htons(1);
	seal(&packet.common, sizeof(packet));
	/* Once more after a second: an unresolved neighbour or one lost packet is no verdict. */
	do {
		const long long turn = end - now_ms() > 1500 ? now_ms() + 1000 : end;

		if (send(fd, &packet, sizeof(packet), 0) < 0 && errno == EPERM)
			return NOT_SENT;
		verdict = await_answer(fd, target->ai_family, &packet, turn);
	} while (verdict == SILENT && now_ms() < end);
	close(fd);
	return verdict;
}

static int usage(void)
{
	fputs("usage: amphora-health-checker sctp [-t SECONDS] ADDRESS PORT\n", stderr);
	return WRONG_USAGE;
}

int main(int argc, char **argv)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_RAW };
	struct addrinfo *target;
	double seconds = DEFAULT_SECONDS;
	long port;
	char *end;
	int option, verdict;

	if (argc < 2 || strcmp(argv[1], "sctp") != 0)
		return usage();
	argc--;
	argv++;
	while ((option = getopt(argc, argv, "t:")) != -1) {
		if (option != 't')
			return usage();
		seconds = strtod(optarg, &end);
		if (*end != '\0' || !(seconds > 0) || seconds > 3600)
			return usage();
	}
	if (argc - optind != 2)
		return usage();
	port = strtol(argv[optind + 1], &end, 10);
	if (!isdigit((unsigned char)argv[optind + 1][0]) || *end != '\0' || port < 1 || port > 65535)
		return usage();
	if (getaddrinfo(argv[optind], NULL, &hints, &target)) {
		fprintf(stderr, "amphora-health-checker: %s is not an address\n", argv[optind]);
		return WRONG_USAGE;
	}
	verdict = check(target, (uint16_t)port, seconds);
	freeaddrinfo(target);
	return verdict;
}
