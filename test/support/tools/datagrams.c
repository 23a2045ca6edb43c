/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams that must come back to the socket they left from:
 *   datagrams ADDRESS PORT SOCKETS ROUNDS SIZE PAUSE_MS [SOURCE COUNT]
 * In each round every socket sends one datagram of SIZE bytes (socket, round, content). Prints
 *   {"sent","right","wrong","lost","refused","moved","members":{},"names":[]}
 * wrong: an answer with other content or on another socket; moved: answers by another member than the
 * socket's first; refused: ICMP port unreachable heard; names: first member per socket ("" for none).
 */
#include "common.h"

#define LARGEST 65000

struct peer {
	int fd;
	char name[NAME_LENGTH + 1];
	long heard;
};

struct stamp {
	uint32_t socket, round;
};

static struct peer *peers;
static long right, wrong, refused, moved;
static struct tally tally;
static uint8_t expected[LARGEST], answer[LARGEST + NAME_LENGTH + 1];

static void hear(uint32_t index, size_t size)
{
	struct peer *peer = &peers[index];
	struct stamp stamp;
	ssize_t length;

	while ((length = recv(peer->fd, answer, sizeof(answer), 0)) >= 0 || errno == ECONNREFUSED) {
		if (length < 0) {
			refused++;
			continue;
		}
		memcpy(&stamp, answer + NAME_LENGTH, sizeof(stamp));
		fill_content(expected, (uint64_t)index << 32 | stamp.round, size);
		if (length != (ssize_t)(size + NAME_LENGTH) || stamp.socket != index ||
		    memcmp(answer + NAME_LENGTH + sizeof(stamp), expected, size - sizeof(stamp))) {
			wrong++;
			continue;
		}
		right++;
		peer->heard++;
		answer[NAME_LENGTH] = 0;
		tally_add(&tally, (char *)answer);
		if (!peer->name[0])
			memcpy(peer->name, answer, NAME_LENGTH);
		moved += strncmp(peer->name, (char *)answer, NAME_LENGTH) != 0;
	}
}

static void hear_until(int poller, int64_t end, long *open, size_t size)
{
	struct epoll_event events[256];

	do {
		int64_t wait = end - now_ms();
		int count = epoll_wait(poller, events, 256, wait > 0 ? wait : 0);

		for (int i = 0; i < count; i++)
			hear(events[i].data.u32, size);
		if (open && right + wrong + refused >= *open)
			return;
		if (!count && wait <= 0)
			return;
	} while (now_ms() < end);
}

int main(int argc, char **argv)
{
	int poller;
	uint32_t count;
	long rounds, pause, sent = 0, last;
	size_t size;
	struct address target, from;

	if (argc != 7 && argc != 9) {
		fprintf(stderr, "usage: datagrams ADDRESS PORT SOCKETS ROUNDS SIZE PAUSE_MS [SOURCE COUNT]\n");
		return 2;
	}
	tool_start();
	target = parse_address(argv[1], atoi(argv[2]));
	count = atol(argv[3]);
	rounds = atol(argv[4]);
	size = atol(argv[5]);
	pause = atol(argv[6]);
	if (size < sizeof(struct stamp) || size > LARGEST)
		return 2;
	poller = epoll_create1(EPOLL_CLOEXEC);
	peers = calloc(count, sizeof(*peers));
	for (uint32_t i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };

		if (argc == 9)
			from = add_to_address(parse_address(argv[7], 0), i % atol(argv[8]));
		peers[i].fd = client_socket(target.any.sa_family, SOCK_DGRAM, argc == 9 ? &from : NULL);
		if (connect(peers[i].fd, &target.any, target.length))
			die("connect");
		epoll_ctl(poller, EPOLL_CTL_ADD, peers[i].fd, &event);
	}
	for (long round = 0; round < rounds; round++) {
		int64_t begin = now_ms();

		for (uint32_t i = 0; i < count; i++) {
			struct stamp stamp = { i, round };
			uint8_t packet[LARGEST];

			memcpy(packet, &stamp, sizeof(stamp));
			fill_content(packet + sizeof(stamp), (uint64_t)i << 32 | stamp.round, size - sizeof(stamp));
			if (send(peers[i].fd, packet, size, 0) < 0 && errno == ECONNREFUSED)
				refused++; /* heard for an earlier one; this one was not sent */
			else
				sent++;
			if (i % 32 == 31)
				hear_until(poller, now_ms(), NULL, size);
		}
		if (round + 1 < rounds)
			hear_until(poller, begin + pause, NULL, size);
	}
	last = sent;
	hear_until(poller, now_ms() + 2000, &last, size);
	printf("{\"sent\":%ld,\"right\":%ld,\"wrong\":%ld,\"lost\":%ld,\"refused\":%ld,\"moved\":%ld,",
	       sent, right, wrong, sent - right - wrong, refused, moved);
	tally_print(&tally);
	printf(",\"names\":[");
	for (uint32_t i = 0; i < count; i++)
		printf("%s\"%s\"", i ? "," : "", peers[i].name);
	printf("]}\n");
	return 0;
}
