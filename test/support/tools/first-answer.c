/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When does a port begin to forward? first-answer ADDRESS PORT COUNT TIMEOUT_MS [http]
 * Prints "probing" once it runs. Then it asks each of COUNT ports in turn, one connection at a time, until each has
 * answered with a member's name once, and prints CLOCK_MONOTONIC of the last answer in nanoseconds. A reset or 20 ms
 * of silence is no answer; a quarter of a millisecond lies between two questions, so that whoever is to begin has
 * the CPU.
 */
#include "common.h"
#include <poll.h>

static int wait_for(int fd, short events, int milliseconds)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	return poll(&poll_fd, 1, milliseconds) == 1 && !(poll_fd.revents & (POLLERR | POLLNVAL));
}

static int answers(const char *text, int port, int is_http)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	struct address address = parse_address(text, port);
	struct linger at_once = { 1, 0 }; /* no port of ours stays in TIME_WAIT */
	int fd = client_socket(address.any.sa_family, SOCK_STREAM, NULL), ok = 0;
	char name[NAME_LENGTH];

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	if ((!connect(fd, &address.any, address.length) || errno == EINPROGRESS) && wait_for(fd, POLLOUT, 20)) {
		ssize_t sent = is_http ? send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) :
					 send(fd, "e", 1, MSG_NOSIGNAL);

		/* HAProxy, too, accepts before it has a member: only what comes back counts. */
		ok = sent > 0 && wait_for(fd, POLLIN, 20) && recv(fd, name, sizeof(name), 0) > 0;
	}
	close(fd);
	return ok;
}

int main(int argc, char **argv)
{
	int port, count, left;
	int64_t end;
	struct timespec now;

	if (argc < 5) {
		fprintf(stderr, "usage: first-answer ADDRESS PORT COUNT TIMEOUT_MS [http]\n");
		return 2;
	}
	tool_start();
	port = atoi(argv[2]);
	left = count = atoi(argv[3]);
	end = now_ms() + atoi(argv[4]);
	char *done = calloc(count, 1);

	if (!done)
		die("calloc");
	puts("probing");
	for (int i = 0; left && now_ms() < end; i = (i + 1) % count) {
		if (done[i])
			continue;
		if (answers(argv[1], port + i, argc > 5)) {
			done[i] = 1;
			left--;
		} else {
			usleep(250);
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (left) {
		fprintf(stderr, "%d of %d ports did not answer\n", left, count);
		return 1;
	}
	printf("%lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
	return 0;
}
