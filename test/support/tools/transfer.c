/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfers whose SHA-256 both ends compute:
 *   transfer ADDRESS PORT get|put|raw COUNT BYTES SECONDS [SOURCE COUNT]
 * raw: get, but nobody looks at the content.
 * COUNT at once, each BYTES long, paced to take about SECONDS (0: as fast as it goes). Prints
 * {"started":n} when each has moved its first bytes or failed, and at the end
 *   {"complete","mismatch","failed","stalled","members":{},"names":[],"milliseconds"}
 * stalled: no byte moved for 60 s.
 */
#include "common.h"
#include "sha256.h"

#define CHUNK 65536
#define STALL_MS 60000

enum state { CONNECTING, NAMING, MOVING, ANSWERING, DONE };
enum outcome { NONE, COMPLETE, MISMATCH, FAILED, STALLED };

struct flow {
	int fd;
	enum state state;
	enum outcome outcome;
	char name[NAME_LENGTH + 1];
	uint8_t answer[NAME_LENGTH + DIGEST_LENGTH];
	size_t got;
	uint64_t moved;
	int64_t last, begin;
	struct sha256 sha;
};

static struct flow *flows;
static uint64_t bytes;
static int getting, raw, poller;
static double seconds;
static long count, unfinished, unstarted;

static void watch(struct flow *flow, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = flow };

	epoll_ctl(poller, operation, flow->fd, &event);
}

static void started(void)
{
	if (--unstarted == 0)
		printf("{\"started\":%ld}\n", unfinished);
}

static void finish(struct flow *flow, enum outcome outcome)
{
	if (!flow->moved)
		unstarted--;
	close(flow->fd);
	flow->state = DONE;
	flow->outcome = outcome;
	unfinished--;
	if (!flow->moved && unstarted == 0)
		printf("{\"started\":%ld}\n", unfinished);
}

/* Bytes that the pace allows now. */
static uint64_t allowed(const struct flow *flow)
{
	double part = seconds > 0 ? (now_ms() - flow->begin + 20) / (seconds * 1000) : 1;
	uint64_t due = part >= 1 ? bytes : (uint64_t)(part * bytes);

	return due > flow->moved ? due - flow->moved : 0;
}

static void moved(struct flow *flow, const uint8_t *data, size_t length)
{
	if (!raw)
		sha256_add(&flow->sha, data, length);
	flow->last = now_ms();
	if (!flow->moved)
		started();
	flow->moved += length;
}

static void judge(struct flow *flow, const uint8_t *digest)
{
	uint8_t own[DIGEST_LENGTH];

	sha256_end(&flow->sha, own);
	finish(flow, !raw && memcmp(own, digest, DIGEST_LENGTH) ? MISMATCH : COMPLETE);
}

static void connected(struct flow *flow)
{
	uint8_t header[9] = { raw ? 'r' : getting ? 'g' : 'p' };
	int error = 0;
	socklen_t length = sizeof(error);

	getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	for (int i = 1; i < 9; i++)
		header[i] = bytes >> (64 - 8 * i);
	if (error || send(flow->fd, header, sizeof(header), 0) != sizeof(header)) {
		finish(flow, FAILED);
		return;
	}
	flow->begin = flow->last = now_ms();
	flow->state = getting ? NAMING : MOVING;
	watch(flow, EPOLL_CTL_MOD, getting ? EPOLLIN : EPOLLOUT);
}

/* Collects `want` bytes of the answer; true when they are there. */
static int collect(struct flow *flow, size_t want)
{
	ssize_t length = recv(flow->fd, flow->answer + flow->got, want - flow->got, 0);

	if (length <= 0 && !(length < 0 && errno == EAGAIN))
		finish(flow, FAILED);
	if (length <= 0)
		return 0;
	flow->last = now_ms();
	flow->got += length;
	return flow->got == want;
}

static void get(struct flow *flow)
{
	static uint8_t data[CHUNK];
	uint64_t room = allowed(flow);
	ssize_t length;

	if (!room) {
		watch(flow, EPOLL_CTL_MOD, 0); /* until the pacer looks again */
		return;
	}
	length = recv(flow->fd, data, room < CHUNK ? room : CHUNK, 0);
	if (length < 0 && errno == EAGAIN)
		return;
	if (length <= 0) {
		finish(flow, FAILED);
		return;
	}
	moved(flow, data, length);
	if (flow->moved == bytes) {
		flow->state = ANSWERING;
		flow->got = 0;
	}
}

static void put(struct flow *flow)
{
	static uint8_t data[CHUNK];
	uint64_t room = allowed(flow);
	size_t length = room < CHUNK ? room : CHUNK;
	ssize_t sent;

	if (!room) {
		watch(flow, EPOLL_CTL_MOD, 0);
		return;
	}
	fill_content(data, flow->moved, length);
	sent = send(flow->fd, data, length, 0);
	if (sent < 0 && errno == EAGAIN)
		return;
	if (sent < 0) {
		finish(flow, FAILED);
		return;
	}
	moved(flow, data, sent);
	if (flow->moved == bytes) {
		flow->state = ANSWERING;
		watch(flow, EPOLL_CTL_MOD, EPOLLIN);
	}
}

static void ready(struct flow *flow)
{
	switch (flow->state) {
	case CONNECTING:
		connected(flow);
		break;
	case NAMING:
		if (collect(flow, NAME_LENGTH)) {
			memcpy(flow->name, flow->answer, NAME_LENGTH);
			flow->state = MOVING;
		}
		break;
	case MOVING:
		if (getting)
			get(flow);
		else
			put(flow);
		break;
	case ANSWERING:
		if (!collect(flow, getting ? DIGEST_LENGTH : NAME_LENGTH + DIGEST_LENGTH))
			break;
		if (!getting)
			memcpy(flow->name, flow->answer, NAME_LENGTH);
		judge(flow, flow->answer + (getting ? 0 : NAME_LENGTH));
		break;
	case DONE:
		break;
	}
}

/* Wakes paced transfers, ends those that stand still. */
static void look_after(struct flow *flow)
{
	if (flow->state == DONE)
		return;
	if (flow->state == MOVING && seconds > 0 && allowed(flow))
		watch(flow, EPOLL_CTL_MOD, getting ? EPOLLIN : EPOLLOUT);
	if (now_ms() - flow->last > STALL_MS)
		finish(flow, STALLED);
}

static void print_results(int64_t begin)
{
	long results[5] = { 0 };
	struct tally tally = { 0 };

	for (long i = 0; i < count; i++) {
		results[flows[i].outcome]++;
		if (flows[i].name[0])
			tally_add(&tally, flows[i].name);
	}
	printf("{\"complete\":%ld,\"mismatch\":%ld,\"failed\":%ld,\"stalled\":%ld,\"milliseconds\":%ld,",
	       results[COMPLETE], results[MISMATCH], results[FAILED], results[STALLED],
	       (long)(now_ms() - begin));
	tally_print(&tally);
	printf(",\"names\":[");
	for (long i = 0; i < count; i++)
		printf("%s\"%s\"", i ? "," : "", flows[i].name);
	printf("]}\n");
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	struct address target, from;
	int64_t begin, looked = 0;

	if (argc != 7 && argc != 9) {
		fprintf(stderr, "usage: transfer ADDRESS PORT get|put|raw COUNT BYTES SECONDS [SOURCE COUNT]\n");
		return 2;
	}
	tool_start();
	target = parse_address(argv[1], atoi(argv[2]));
	raw = !strcmp(argv[3], "raw");
	getting = raw || !strcmp(argv[3], "get");
	unfinished = unstarted = count = atol(argv[4]);
	bytes = strtoull(argv[5], NULL, 10);
	seconds = atof(argv[6]);
	poller = epoll_create1(EPOLL_CLOEXEC);
	flows = calloc(count, sizeof(*flows));
	begin = now_ms();
	for (long i = 0; i < count; i++) {
		struct flow *flow = &flows[i];
		int small = 65536;

		if (argc == 9)
			from = add_to_address(parse_address(argv[7], 0), i % atol(argv[8]));
		flow->fd = client_socket(target.any.sa_family, SOCK_STREAM, argc == 9 ? &from : NULL);
		flow->last = begin;
		sha256_init(&flow->sha);
		if (seconds > 0) { /* a paced transfer must not hide in the kernel's buffers */
			setsockopt(flow->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
			setsockopt(flow->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		}
		if (connect(flow->fd, &target.any, target.length) && errno != EINPROGRESS)
			die("connect");
		watch(flow, EPOLL_CTL_ADD, EPOLLOUT);
	}
	while (unfinished) {
		int ready_count = epoll_wait(poller, events, 256, 20);

		for (int i = 0; i < ready_count; i++)
			ready(events[i].data.ptr);
		if (now_ms() - looked < 20)
			continue;
		looked = now_ms();
		for (long i = 0; i < count; i++)
			look_after(&flows[i]);
	}
	print_results(begin);
	return 0;
}
