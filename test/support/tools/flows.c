/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds connections: flows ADDRESS PORT. Commands on stdin, one line of JSON each on stdout:
 *   sources ADDRESS COUNT       bind new connections in turn to COUNT addresses from ADDRESS on
 *   open COUNT PARALLEL MS      {"opened","refused","timeout","members":{},"names":[]}
 *   check ROUNDS PAUSE_MS       each connection echoes a token that only it knows:
 *                               {"right","wrong","lost","closed","slowest_ms"}
 *   close all|NAME COUNT fin|rst {"closed"}
 *   port PORT                   later connections go there
 * `names` tells the member of each connection asked for, "refused" or "timeout", in order.
 */
#include "common.h"

#define TOKEN_LENGTH 24

enum state { CLOSED, CONNECTING, NAMING, READY, WAITING };

struct flow {
	int fd;
	enum state state;
	char name[NAME_LENGTH + 1];
	uint8_t got;
	char failure; /* 'r', 't' or 0 */
	int64_t since;
	uint8_t token[TOKEN_LENGTH], answer[TOKEN_LENGTH];
};

static struct address target, source;
static uint32_t source_count, source_next;
static struct flow *flows;
static long flow_count, flow_room;
static int poller;

static void drop(struct flow *flow)
{
	close(flow->fd);
	flow->fd = -1;
	flow->state = CLOSED;
}

static void start(struct flow *flow)
{
	struct epoll_event event = { .events = EPOLLOUT, .data.u64 = flow - flows };
	struct address from = source_count ? add_to_address(source, source_next++ % source_count) : source;

	flow->fd = client_socket(target.any.sa_family, SOCK_STREAM, source_count ? &from : NULL);
	flow->state = CONNECTING;
	flow->since = now_ms();
	if (connect(flow->fd, &target.any, target.length) && errno != EINPROGRESS) {
		flow->failure = 'r';
		drop(flow);
		return;
	}
	if (epoll_ctl(poller, EPOLL_CTL_ADD, flow->fd, &event))
		die("epoll_ctl");
}

/* Takes what has come in so far. Returns 1 when `want` bytes stand in `into`, -1 when the peer is gone. */
static int take(struct flow *flow, void *into, size_t want)
{
	ssize_t length = recv(flow->fd, (uint8_t *)into + flow->got, want - flow->got, 0);

	if (length < 0 && errno == EAGAIN)
		return 0;
	if (length <= 0)
		return -1;
	flow->got += length;
	return flow->got == want;
}

static void opening(struct flow *flow)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = flow - flows };
	int error = 0, taken;
	socklen_t length = sizeof(error);

	if (flow->state == CONNECTING) {
		getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &length);
		if (error || send(flow->fd, "e", 1, 0) != 1) {
			flow->failure = error == ETIMEDOUT ? 't' : 'r';
			drop(flow);
			return;
		}
		flow->state = NAMING;
		flow->got = 0;
		epoll_ctl(poller, EPOLL_CTL_MOD, flow->fd, &event);
		return;
	}
	taken = take(flow, flow->name, NAME_LENGTH);
	if (taken > 0)
		flow->state = READY;
	if (taken < 0) {
		flow->failure = 'r';
		drop(flow);
	}
}

static const char *outcome(const struct flow *flow)
{
	return flow->failure == 'r' ? "refused" : flow->failure == 't' ? "timeout" : flow->name;
}

static void print_opened(long first)
{
	struct tally tally = { 0 };
	long opened = 0, refused = 0, timeout = 0;

	for (long i = first; i < flow_count; i++) {
		opened += !flows[i].failure;
		refused += flows[i].failure == 'r';
		timeout += flows[i].failure == 't';
		if (!flows[i].failure)
			tally_add(&tally, flows[i].name);
	}
	printf("{\"opened\":%ld,\"refused\":%ld,\"timeout\":%ld,", opened, refused, timeout);
	tally_print(&tally);
	printf(",\"names\":[");
	for (long i = first; i < flow_count; i++)
		printf("%s\"%s\"", i > first ? "," : "", outcome(&flows[i]));
	printf("]}\n");
}

static void open_flows(long count, long parallel, long timeout_ms)
{
	long first = flow_count, next = first, busy = 0, oldest = first;
	struct epoll_event events[256];

	if (flow_count + count > flow_room) {
		flow_room = flow_count + count;
		flows = realloc(flows, flow_room * sizeof(*flows));
		if (!flows)
			die("realloc");
	}
	memset(flows + first, 0, count * sizeof(*flows));
	flow_count += count;
	while (next < flow_count || busy) {
		for (; next < flow_count && busy < parallel; next++) {
			start(&flows[next]);
			busy += flows[next].state != CLOSED;
		}
		int ready = epoll_wait(poller, events, 256, 20);

		for (int i = 0; i < ready; i++) {
			struct flow *flow = &flows[events[i].data.u64];
			int was = flow->state == CONNECTING || flow->state == NAMING;

			if (was)
				opening(flow);
			else if (flow->state == READY && take(flow, flow->answer, 1) < 0)
				drop(flow); /* closed while others open */
			busy -= was && (flow->state == CLOSED || flow->state == READY);
		}
		int64_t now = now_ms();

		while (oldest < next && flows[oldest].state != CONNECTING && flows[oldest].state != NAMING)
			oldest++;
		for (long i = oldest; i < next && flows[i].since + timeout_ms < now; i++) {
			if (flows[i].state != CONNECTING && flows[i].state != NAMING)
				continue;
			flows[i].failure = 't';
			drop(&flows[i]);
			busy--;
		}
	}
	print_opened(first);
}

struct result {
	long right, wrong, lost, closed, waiting;
	int64_t slowest;
};

static void ask(struct flow *flow, long round)
{
	uint64_t token[3] = { flow - flows, round, (uint64_t)random() << 32 | random() };

	memcpy(flow->token, token, TOKEN_LENGTH);
	flow->state = WAITING;
	flow->got = 0;
	flow->since = now_ms();
	if (send(flow->fd, flow->token, TOKEN_LENGTH, 0) != TOKEN_LENGTH)
		drop(flow);
}

static void hear(struct flow *flow, struct result *result)
{
	int taken;

	if (flow->state != WAITING && flow->state != READY)
		return;
	taken = take(flow, flow->answer, TOKEN_LENGTH);
	if (!taken)
		return;
	result->waiting -= flow->state == WAITING;
	if (taken < 0) {
		result->closed++;
		drop(flow);
		return;
	}
	if (flow->state != WAITING || memcmp(flow->answer, flow->token, TOKEN_LENGTH))
		result->wrong++;
	else
		result->right++;
	if (now_ms() - flow->since > result->slowest)
		result->slowest = now_ms() - flow->since;
	flow->state = READY;
}

static void hear_all(struct result *result, int wait_ms)
{
	struct epoll_event events[256];
	int ready = epoll_wait(poller, events, 256, wait_ms);

	for (int i = 0; i < ready; i++)
		hear(&flows[events[i].data.u64], result);
}

/* At most 200 tokens are under way, so that no queue on the path overflows by our own doing. */
static void check(long rounds, long pause_ms)
{
	struct result result = { 0 };

	for (long round = 0; round < rounds; round++) {
		int64_t begin = now_ms(), patience;

		for (long i = 0; i < flow_count; i++) {
			if (flows[i].state != READY)
				continue;
			ask(&flows[i], round);
			if (flows[i].state == CLOSED)
				result.closed++;
			else
				result.waiting++;
			while (result.waiting >= 200 && now_ms() - begin < 60000)
				hear_all(&result, 100);
			if (i % 32 == 0)
				hear_all(&result, 0);
		}
		patience = now_ms() + 15000;
		while (result.waiting && now_ms() < patience)
			hear_all(&result, 100);
		while (now_ms() < begin + pause_ms)
			hear_all(&result, begin + pause_ms - now_ms());
	}
	for (long i = 0; i < flow_count; i++) {
		if (flows[i].state != WAITING)
			continue;
		result.lost++;
		drop(&flows[i]);
	}
	printf("{\"right\":%ld,\"wrong\":%ld,\"lost\":%ld,\"closed\":%ld,\"slowest_ms\":%ld}\n",
	       result.right, result.wrong, result.lost, result.closed, (long)result.slowest);
}

static void close_flows(const char *name, long count, int reset)
{
	struct linger linger = { 1, 0 };
	long closed = 0;

	for (long i = 0; i < flow_count && closed < count; i++) {
		if (flows[i].state == CLOSED || (strcmp(name, "all") && strcmp(name, flows[i].name)))
			continue;
		if (reset)
			setsockopt(flows[i].fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		drop(&flows[i]);
		closed++;
	}
	printf("{\"closed\":%ld}\n", closed);
}

int main(int argc, char **argv)
{
	char line[256], text[64], how[8];
	long a, b, c;

	if (argc != 3) {
		fprintf(stderr, "usage: flows ADDRESS PORT\n");
		return 2;
	}
	tool_start();
	srandom(getpid());
	target = parse_address(argv[1], atoi(argv[2]));
	poller = epoll_create1(EPOLL_CLOEXEC);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "sources %63s %ld", text, &a) == 2) {
			source = parse_address(text, 0);
			source_count = a;
			source_next = 0;
			printf("{\"sources\":%ld}\n", a);
		} else if (sscanf(line, "port %ld", &a) == 1) {
			target.v4.sin_port = htons(a); /* same place in both families */
			printf("{\"port\":%ld}\n", a);
		} else if (sscanf(line, "open %ld %ld %ld", &a, &b, &c) == 3) {
			open_flows(a, b, c);
		} else if (sscanf(line, "check %ld %ld", &a, &b) == 2) {
			check(a, b);
		} else if (sscanf(line, "close %63s %ld %7s", text, &a, how) == 3) {
			close_flows(text, a, !strcmp(how, "rst"));
		} else {
			printf("{\"error\":\"unknown command\"}\n");
		}
	}
	return 0;
}
