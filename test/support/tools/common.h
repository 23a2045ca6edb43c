/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the traffic tools share: limits, time, addresses, and the little protocol that they speak.
 *
 * A connection begins with one byte from the client:
 *   'e'                echo: the server sends its name (NAME_LENGTH bytes), then what it receives
 *   'g' + be64 length  the server sends its name, `length` bytes, and their SHA-256
 *   'r' + be64 length  the same without SHA-256, all zeros, for speed: the digest is zeros too
 *   'p' + be64 length  the client sends `length` bytes, the server its name and their SHA-256
 * A datagram is answered with the server's name and the datagram itself.
 */
#ifndef TOOLS_COMMON_H
#define TOOLS_COMMON_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NAME_LENGTH 8
#define DIGEST_LENGTH 32

static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* In a demo whose world is kept, tools outlive the program that started them. */
static inline int tool_stays(void)
{
	return getenv("TOOLS_STAY") != NULL;
}

/* Many descriptors, no zombie when the test dies, no death by a closed peer. */
static inline void tool_start(void)
{
	struct rlimit limit = { 1000000, 1000000 };

	/* Containers may forbid raising the hard limit: then it is what there is. */
	if (setrlimit(RLIMIT_NOFILE, &limit) && !getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (!tool_stays())
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static inline int64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

/* IPv4 stays IPv4: members and clients see the family that was asked for. */
struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t length;
};

static inline struct address parse_address(const char *text, int port)
{
	struct address address = { 0 };

	if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons(port);
		address.length = sizeof(address.v4);
	} else if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1) {
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons(port);
		address.length = sizeof(address.v6);
	} else {
		fprintf(stderr, "not an address: %s\n", text);
		exit(2);
	}
	return address;
}

/* The address `step` places behind `base`. */
static inline struct address add_to_address(struct address base, uint32_t step)
{
	uint32_t *low = base.any.sa_family == AF_INET ?
			&base.v4.sin_addr.s_addr : &base.v6.sin6_addr.s6_addr32[3];

	*low = htonl(ntohl(*low) + step);
	return base;
}

/* A non-blocking socket bound to `source` (NULL: any), its port chosen when it connects. */
static inline int client_socket(int family, int type, const struct address *source)
{
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		die("socket");
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!source)
		return fd;
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
	if (bind(fd, &source->any, source->length))
		die("bind");
	return fd;
}

/* Content of transfers: 8 bytes at a time, a function of their place only, so no piece fits elsewhere. */
static inline void fill_content(uint8_t *out, uint64_t offset, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		uint64_t word = (offset + i) / 8 * 0x9e3779b97f4a7c15ull;

		word = (word ^ (word >> 29)) * 0xbf58476d1ce4e5b9ull;
		out[i] = word >> ((offset + i) % 8 * 8);
	}
}

/* How often each server answered. */
struct tally {
	char name[64][NAME_LENGTH + 1];
	long count[64];
	int used;
};

static inline void tally_add(struct tally *tally, const char *name)
{
	int i = 0;

	while (i < tally->used && strncmp(tally->name[i], name, NAME_LENGTH))
		i++;
	if (i == 64)
		return;
	if (i == tally->used) {
		memcpy(tally->name[i], name, NAME_LENGTH);
		tally->used++;
	}
	tally->count[i]++;
}

static inline void tally_print(const struct tally *tally)
{
	printf("\"members\":{");
	for (int i = 0; i < tally->used; i++)
		printf("%s\"%s\":%ld", i ? "," : "", tally->name[i], tally->count[i]);
	printf("}");
}

#endif
