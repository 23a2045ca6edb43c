/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member's server: server NAME WORKERS PORT...
 * TCP and UDP on each port, both families; protocol in common.h. Connections are spread over WORKERS
 * processes, since one may not hold descriptors for all. On stdin, any line prints
 *   {"accepted":n,"open":n,"datagrams":n}
 */
#include "common.h"
#include <sys/mman.h>
#include "sha256.h"

#define CHUNK 65536

enum kind { LISTENER, DATAGRAMS, CONTROL, CONNECTION };

struct transfer {
	struct sha256 sha;
	uint64_t length, done;
	uint8_t digest[DIGEST_LENGTH];
};

struct end {
	enum kind kind;
	int fd;
	char command; /* 0: not yet known */
	uint8_t header[9];
	uint8_t header_length;
	int writing;  /* waits for room */
	size_t out_length, out_sent;
	uint8_t *out;
	struct transfer *transfer;
};

static char name[NAME_LENGTH + 1];
static int poller;
static struct {
	long accepted, open, datagrams;
} *counts; /* shared by the workers */
static uint8_t buffer[CHUNK + NAME_LENGTH];

static void watch(struct end *end, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = end };

	if (epoll_ctl(poller, operation, end->fd, &event))
		die("epoll_ctl");
}

static struct end *add_end(enum kind kind, int fd)
{
	struct end *end = calloc(1, sizeof(*end));

	if (!end)
		die("calloc");
	end->kind = kind;
	end->fd = fd;
	watch(end, EPOLL_CTL_ADD, EPOLLIN);
	return end;
}

static void add_sockets(int port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int types[] = { SOCK_STREAM, SOCK_DGRAM }, one = 1, big = 4 << 20;

	for (int i = 0; i < 2; i++) {
		int fd = socket(AF_INET6, types[i] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		if (fd < 0)
			die("socket");
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
		if (bind(fd, (void *)&any, sizeof(any)))
			die("bind");
		if (types[i] == SOCK_STREAM && listen(fd, 1024))
			die("listen");
		if (types[i] == SOCK_DGRAM)
			setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
		add_end(types[i] == SOCK_STREAM ? LISTENER : DATAGRAMS, fd);
	}
}

static void close_end(struct end *end)
{
	close(end->fd);
	free(end->out);
	free(end->transfer);
	free(end);
	__sync_fetch_and_sub(&counts->open, 1);
}

static void accept_all(int listener)
{
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		add_end(CONNECTION, fd);
		__sync_fetch_and_add(&counts->accepted, 1);
		__sync_fetch_and_add(&counts->open, 1);
	}
}

static void answer_datagrams(int fd)
{
	struct sockaddr_in6 from;
	socklen_t from_length = sizeof(from);
	ssize_t length;

	memcpy(buffer, name, NAME_LENGTH);
	while ((length = recvfrom(fd, buffer + NAME_LENGTH, CHUNK, 0, (void *)&from, &from_length)) >= 0) {
		__sync_fetch_and_add(&counts->datagrams, 1);
		sendto(fd, buffer, length + NAME_LENGTH, 0, (void *)&from, from_length);
		from_length = sizeof(from);
	}
}

static void control(void)
{
	char line[64];

	if (!fgets(line, sizeof(line), stdin))
		exit(0);
	printf("{\"accepted\":%ld,\"open\":%ld,\"datagrams\":%ld}\n",
	       counts->accepted, counts->open, counts->datagrams);
}

/* Appends to what is to be sent; `out` holds at most one chunk and a digest. */
static void queue(struct end *end, const void *data, size_t length)
{
	if (!end->out && !(end->out = malloc(CHUNK + 64)))
		die("malloc");
	memcpy(end->out + end->out_length, data, length);
	end->out_length += length;
}

/* True when everything is out; false: wait, or the connection is gone (then *end is freed). */
static int flush_out(struct end *end)
{
	while (end->out_sent < end->out_length) {
		ssize_t sent = send(end->fd, end->out + end->out_sent, end->out_length - end->out_sent, 0);

		if (sent < 0 && errno == EAGAIN) {
			if (!end->writing)
				watch(end, EPOLL_CTL_MOD, EPOLLOUT);
			end->writing = 1;
			return 0;
		}
		if (sent < 0) {
			close_end(end);
			return 0;
		}
		end->out_sent += sent;
	}
	end->out_sent = end->out_length = 0;
	free(end->out); /* 100,000 idle connections must not hold 64 kB each */
	end->out = NULL;
	return 1;
}

static void resume_reading(struct end *end)
{
	if (end->writing)
		watch(end, EPOLL_CTL_MOD, EPOLLIN);
	end->writing = 0;
}

static int is_download(const struct end *end)
{
	return end->command == 'g' || end->command == 'r';
}

static void make_content(struct end *end, size_t length)
{
	if (end->command == 'r') {
		memset(buffer, 0, length);
		return;
	}
	fill_content(buffer, end->transfer->done, length);
	sha256_add(&end->transfer->sha, buffer, length);
}

/* Chunk after chunk, then the digest, then FIN. */
static void send_content(struct end *end)
{
	struct transfer *transfer = end->transfer;

	while (flush_out(end)) {
		uint64_t left = transfer->length - transfer->done;
		size_t length = left < CHUNK ? left : CHUNK;

		if (transfer->done > transfer->length) {
			shutdown(end->fd, SHUT_WR);
			resume_reading(end);
			return;
		}
		make_content(end, length);
		transfer->done += length;
		queue(end, buffer, length);
		if (transfer->done == transfer->length) {
			if (end->command == 'g')
				sha256_end(&transfer->sha, transfer->digest);
			queue(end, transfer->digest, DIGEST_LENGTH);
			transfer->done++; /* marks that the digest is queued */
		}
	}
}

static void take_content(struct end *end, const uint8_t *data, size_t length)
{
	struct transfer *transfer = end->transfer;

	sha256_add(&transfer->sha, data, length);
	transfer->done += length;
	if (transfer->done != transfer->length)
		return;
	sha256_end(&transfer->sha, transfer->digest);
	queue(end, name, NAME_LENGTH);
	queue(end, transfer->digest, DIGEST_LENGTH);
	flush_out(end);
}

/* Takes the command's bytes from the front. Returns how many were taken, or -1 for nonsense. */
static ssize_t take_header(struct end *end, const uint8_t *data, size_t length)
{
	size_t taken = 0;

	while (taken < length && !end->command) {
		end->header[end->header_length++] = data[taken++];
		if (end->header[0] == 'e') {
			end->command = 'e';
			queue(end, name, NAME_LENGTH);
		} else if (!strchr("gpr", end->header[0])) {
			return -1;
		} else if (end->header_length == sizeof(end->header)) {
			end->command = end->header[0];
			end->transfer = calloc(1, sizeof(*end->transfer));
			if (!end->transfer)
				die("calloc");
			sha256_init(&end->transfer->sha);
			for (int i = 1; i < 9; i++)
				end->transfer->length = end->transfer->length << 8 | end->header[i];
			if (end->command != 'p')
				queue(end, name, NAME_LENGTH);
		}
	}
	return taken;
}

static void readable(struct end *end)
{
	static uint8_t input[CHUNK - NAME_LENGTH];
	ssize_t length = recv(end->fd, input, sizeof(input), 0), taken;

	if (length < 0 && errno == EAGAIN)
		return;
	taken = length > 0 ? take_header(end, input, length) : -1;
	if (taken < 0) {
		close_end(end);
		return;
	}
	if (end->command == 'p' && length > taken)
		take_content(end, input + taken, length - taken);
	else if (end->command == 'e' && length > taken)
		queue(end, input + taken, length - taken);
	if (is_download(end))
		send_content(end);
	else if (end->command == 'e')
		flush_out(end);
}

static void writable(struct end *end)
{
	if (is_download(end))
		send_content(end);
	else if (flush_out(end))
		resume_reading(end);
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	int ready[2], worker;
	char byte;

	if (argc < 4) {
		fprintf(stderr, "usage: server NAME WORKERS PORT...\n");
		return 2;
	}
	tool_start();
	memcpy(name, argv[1], strnlen(argv[1], NAME_LENGTH));
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED || pipe(ready))
		die("mmap");
	for (worker = atoi(argv[2]) - 1; worker > 0; worker--) {
		if (fork())
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		break;
	}
	poller = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 3; i < argc; i++)
		add_sockets(atoi(argv[i]));
	if (worker) {
		if (write(ready[1], "", 1) != 1)
			die("write");
	} else {
		for (int i = 1; i < atoi(argv[2]); i++)
			if (read(ready[0], &byte, 1) != 1)
				die("read");
		if (!tool_stays())
			add_end(CONTROL, STDIN_FILENO);
		printf("{\"ready\":true}\n");
	}
	for (;;) {
		int count = epoll_wait(poller, events, 256, -1);

		for (int i = 0; i < count; i++) {
			struct end *end = events[i].data.ptr;

			if (end->kind == LISTENER)
				accept_all(end->fd);
			else if (end->kind == DATAGRAMS)
				answer_datagrams(end->fd);
			else if (end->kind == CONTROL)
				control();
			else if (end->writing)
				writable(end);
			else
				readable(end);
		}
	}
}
