/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a loaded generator in this network namespace:
 *   generate PROGRAM_ID COUNT CPU
 * Prints {"cpu_ns","wall_ns"}: CPU time of this thread and of that CPU's ksoftirqd together, which is all that the
 * packets cost, since every hop's softirq runs on the CPU that sends. (No IRQ time accounting: softirqs count
 * for the thread that they interrupt.)
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Run time of a kernel thread in ns, by its name; 0 if there is none. */
static uint64_t thread_ns(const char *name)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint64_t ns = 0;

	while (proc && (entry = readdir(proc))) {
		char path[300], text[64] = "";
		FILE *file;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(text, sizeof(text), file))
			text[strcspn(text, "\n")] = 0;
		fclose(file);
		if (strcmp(text, name))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/schedstat", entry->d_name);
		file = fopen(path, "r");
		if (file && fscanf(file, "%lu", &ns) != 1)
			ns = 0;
		if (file)
			fclose(file);
		break;
	}
	if (proc)
		closedir(proc);
	return ns;
}

int main(int argc, char **argv)
{
	char frame[64] = {}, softirq[32];
	uint64_t cpu_ns, wall_ns, softirq_ns;
	int fd, error, cpu;
	cpu_set_t set;

	LIBBPF_OPTS(bpf_test_run_opts, run);
	if (argc != 4) {
		fprintf(stderr, "usage: generate PROGRAM_ID COUNT CPU\n");
		return 2;
	}
	cpu = atoi(argv[3]);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("sched_setaffinity");
		return 1;
	}
	fd = bpf_prog_get_fd_by_id(strtoul(argv[1], NULL, 10));
	if (fd < 0) {
		fprintf(stderr, "bpf_prog_get_fd_by_id: %s\n", strerror(errno));
		return 1;
	}
	snprintf(softirq, sizeof(softirq), "ksoftirqd/%d", cpu);
	run.data_in = frame;
	run.data_size_in = sizeof(frame);
	run.repeat = strtoul(argv[2], NULL, 10);
	run.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
	run.batch_size = 64;
	softirq_ns = thread_ns(softirq);
	wall_ns = now(CLOCK_MONOTONIC);
	cpu_ns = now(CLOCK_THREAD_CPUTIME_ID);
	error = bpf_prog_test_run_opts(fd, &run);
	cpu_ns = now(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	wall_ns = now(CLOCK_MONOTONIC) - wall_ns;
	if (error) {
		fprintf(stderr, "bpf_prog_test_run_opts: %s\n", strerror(-error));
		return 1;
	}
	usleep(20000); /* what is still on its way */
	printf("{\"cpu_ns\":%lu,\"wall_ns\":%lu}\n", cpu_ns + thread_ns(softirq) - softirq_ns, wall_ns);
	return 0;
}
