// SPDX-License-Identifier: Apache-2.0
/*
 * haproxy-vrrp-check SOCKET...: 0 when every HAProxy answers on its stats socket, 1 otherwise, 2 for an option (contract 5.6).
 * keepalived's check script calls it every few seconds, hence C: no interpreter to start.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_SECONDS 5

static const char question[] = "show stat -1 -1 -1\n";

/* Any byte will do: it shows that the worker serves its event loop. */
static int answers(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct timeval timeout = { .tv_sec = TIMEOUT_SECONDS };
	int fd, ok;
	char byte;

	if (strlen(path) >= sizeof(address.sun_path))
		return 0;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	ok = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0 &&
	     setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0 &&
	     connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
	     send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(question) - 1 &&
	     recv(fd, &byte, 1, 0) == 1;
	close(fd);
	return ok;
}

int main(int argc, char **argv)
{
	if (argc > 1 && argv[1][0] == '-') {
		fputs("usage: haproxy-vrrp-check SOCKET...\n", stderr);
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		if (!answers(argv[i])) {
			fprintf(stderr, "haproxy-vrrp-check: no answer on %s\n", argv[i]);
			return 1;
		}
	}
	return 0;
}
