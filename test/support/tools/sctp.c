/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real associations, where the kernel knows SCTP:
 *   sctp serve NAME ADDRESS PORT                  greets each association with NAME, then echoes
 *   sctp open ADDRESS PORT COUNT ROUNDS SOURCE    opens COUNT associations one by one, holds them, and has each of
 *                                                 them echo a token ROUNDS times; prints one line of JSON
 * One-to-one sockets, so that nothing but the kernel is needed. A token has a place and a round in it: an answer
 * meant for another association is wrong.
 */
#include "common.h"
#include <poll.h>

#define TIMEOUT_MS 20000

static int sctp_socket(const struct address *local)
{
	int fd = socket(local->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);
	int one = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* Bound to one address: an INIT that lists others would name what the other end cannot reach. */
	if (bind(fd, &local->any, local->length))
		die("bind");
	return fd;
}

static void add_to_poller(int poller, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
}

static void serve(const char *name, const char *text, int port)
{
	struct address local = parse_address(text, port);
	int listener = sctp_socket(&local), poller = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[64];
	char buffer[4096], greeting[NAME_LENGTH] = { 0 };

	memcpy(greeting, name, strnlen(name, NAME_LENGTH));
	if (listen(listener, 1024))
		die("listen");
	add_to_poller(poller, listener);
	printf("{\"ready\":true}\n");
	for (;;) {
		int count = epoll_wait(poller, events, 64, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;
			ssize_t length;

			if (fd == listener) {
				fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
				if (fd < 0)
					continue;
				send(fd, greeting, NAME_LENGTH, 0);
				add_to_poller(poller, fd);
				continue;
			}
			length = recv(fd, buffer, sizeof(buffer), 0);
			if (length > 0)
				send(fd, buffer, length, 0);
			else if (!length || errno != EAGAIN)
				close(fd);
		}
	}
}

/* Bytes received within the time, 0 for an end, -1 for nothing. */
static ssize_t receive(int fd, void *buffer, size_t size)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	if (poll(&ready, 1, TIMEOUT_MS) != 1)
		return -1;
	return recv(fd, buffer, size, MSG_DONTWAIT);
}

/* An established association that has been greeted, or -1. */
static int open_one(const struct address *target, const struct address *source, char *name)
{
	struct timeval timeout = { .tv_sec = TIMEOUT_MS / 1000 };
	int fd = sctp_socket(source);

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)); /* connect() waits no longer */
	if (!connect(fd, &target->any, target->length) && receive(fd, name, NAME_LENGTH) == NAME_LENGTH)
		return fd;
	close(fd);
	return -1;
}

static void open_all(const struct address *target, int count, int rounds, const struct address *source)
{
	long opened = 0, right = 0, wrong = 0, lost = 0;
	int *fds = calloc(count, sizeof(*fds));
	struct tally tally = { 0 };

	if (!fds)
		die("calloc");
	for (int i = 0; i < count; i++) {
		char name[NAME_LENGTH + 1] = { 0 };

		fds[i] = open_one(target, source, name);
		if (fds[i] < 0)
			continue;
		opened++;
		tally_add(&tally, name);
	}
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < count; i++) {
			char token[64], answer[64];
			int length = snprintf(token, sizeof(token), "token %d %d", i, round);
			ssize_t got;

			if (fds[i] < 0)
				continue;
			got = send(fds[i], token, length, 0) == length ? receive(fds[i], answer, sizeof(answer)) : -1;
			if (got <= 0)
				lost++;
			else if (got == length && !memcmp(token, answer, length))
				right++;
			else
				wrong++;
		}
	}
	printf("{\"opened\":%ld,\"failed\":%ld,\"right\":%ld,\"wrong\":%ld,\"lost\":%ld,",
	       opened, count - opened, right, wrong, lost);
	tally_print(&tally);
	printf("}\n");
}

int main(int argc, char **argv)
{
	tool_start();
	if (argc == 5 && !strcmp(argv[1], "serve")) {
		serve(argv[2], argv[3], atoi(argv[4]));
	} else if (argc == 7 && !strcmp(argv[1], "open")) {
		struct address target = parse_address(argv[2], atoi(argv[3]));
		struct address source = parse_address(argv[6], 0);

		open_all(&target, atoi(argv[4]), atoi(argv[5]), &source);
	} else {
		fprintf(stderr, "usage: sctp serve NAME ADDRESS PORT | sctp open ADDRESS PORT COUNT ROUNDS SOURCE\n");
		return 2;
	}
}
