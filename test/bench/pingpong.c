/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and answers of 64 bytes over TCP:
 *   pingpong serve PORT                                        answers until killed
 *   pingpong ask ADDRESS PORT CONNECTIONS REQUESTS keep|close   asks, over kept connections or one each
 * `ask` prints {"requests","cpu_ns","wall_ns"}.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SIZE 64
#define EVENTS 256

static void fail(const char *what)
{
	fprintf(stderr, "pingpong: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void watch(int poller, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event))
		fail("epoll_ctl");
}

static void serve(int port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int listener = socket(AF_INET6, SOCK_STREAM, 0), poller = epoll_create1(0), one = 1;
	struct epoll_event events[EVENTS];
	char bytes[SIZE];

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (void *)&any, sizeof(any)) || listen(listener, 4096))
		fail("listen");
	watch(poller, listener);
	for (;;) {
		int count = epoll_wait(poller, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == listener) {
				fd = accept(listener, NULL, NULL);
				if (fd >= 0)
					watch(poller, fd);
			} else if (recv(fd, bytes, SIZE, MSG_WAITALL) != SIZE || send(fd, bytes, SIZE, MSG_NOSIGNAL) != SIZE) {
				close(fd);
			}
		}
	}
}

static int dial(int poller, const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct linger hard = { 1, 0 }; /* ends by RST: no TIME_WAIT, so that ports last */
	char bytes[SIZE] = {};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	if (fd < 0 || connect(fd, (const void *)to, sizeof(*to)))
		fail("connect");
	watch(poller, fd);
	if (send(fd, bytes, SIZE, MSG_NOSIGNAL) != SIZE)
		fail("send");
	return fd;
}

static int ask(const char *address, int port, long connections, long requests, int keep)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	uint64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
	long asked = connections, heard = 0;
	struct epoll_event events[EVENTS];
	int poller = epoll_create1(0);
	char bytes[SIZE];

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		fail(address);
	for (long i = 0; i < connections; i++)
		dial(poller, &to);
	while (heard < requests) {
		int count = epoll_wait(poller, events, EVENTS, 5000);

		if (count <= 0)
			fail("no answer");
		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (recv(fd, bytes, SIZE, MSG_WAITALL) != SIZE)
				fail("recv");
			heard++;
			if (asked >= requests) {
				if (!keep)
					close(fd);
				continue;
			}
			asked++;
			if (keep) {
				if (send(fd, bytes, SIZE, MSG_NOSIGNAL) != SIZE)
					fail("send");
			} else {
				close(fd);
				dial(poller, &to);
			}
		}
	}
	printf("{\"requests\":%ld,\"cpu_ns\":%lu,\"wall_ns\":%lu}\n", heard, now(CLOCK_PROCESS_CPUTIME_ID) - cpu,
	       now(CLOCK_MONOTONIC) - wall);
	return 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(atoi(argv[2]));
	if (argc == 7 && !strcmp(argv[1], "ask"))
		return ask(argv[2], atoi(argv[3]), atol(argv[4]), atol(argv[5]), !strcmp(argv[6], "keep"));
	fprintf(stderr, "usage: see the source's first lines\n");
	return 2;
}
