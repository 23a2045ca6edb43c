// SPDX-License-Identifier: Apache-2.0
/*
 * amphora-datapath-check: 0 while the datapath serves the network namespace that it is called in, 1 otherwise.
 * keepalived's check script calls it where no HAProxy speaks for the listeners (contract P31). It asks the kernel
 * alone: every Ethernet interface that is up must run our program, and that program's table of services must not be
 * empty. So an agent that restarts makes no difference, and a program that somebody took away does.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The place of our filter on clsact ingress, as the agent attaches it. */
#define TC_PRIORITY 1
#define TC_HANDLE   0xa3
#define MAX_MAPS    64
#define MAX_KEY     64

static int fail(const char *name, const char *why)
{
	fprintf(stderr, "amphora-datapath-check: %s: %s\n", name, why);
	return 1;
}

/* The program on an interface, or 0. */
static __u32 attached_program(int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, xdp);
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = TC_HANDLE, .priority = TC_PRIORITY);

	if (bpf_xdp_query(ifindex, 0, &xdp) == 0 && (xdp.prog_id != 0 || xdp.drv_prog_id != 0))
		return xdp.prog_id != 0 ? xdp.prog_id : xdp.drv_prog_id;
	return bpf_tc_query(&hook, &filter) == 0 ? filter.prog_id : 0;
}

static int has_services(__u32 map_id)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	char key[MAX_KEY];
	int fd = bpf_map_get_fd_by_id(map_id), found = 0;

	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && strcmp(info.name, "services") == 0 &&
	    info.key_size <= sizeof(key))
		found = bpf_map_get_next_key(fd, NULL, key) == 0;
	close(fd);
	return found;
}

static int serves(__u32 program_id)
{
	__u32 maps[MAX_MAPS];
	struct bpf_prog_info info = { .nr_map_ids = MAX_MAPS, .map_ids = (__u64)(unsigned long)maps };
	__u32 size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(program_id), found = 0;

	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && strncmp(info.name, "lb_", 3) == 0) {
		for (__u32 i = 0; i < info.nr_map_ids && i < MAX_MAPS && !found; i++)
			found = has_services(maps[i]);
	}
	close(fd);
	return found;
}

static int is_served_kind(int fd, const char *name)
{
	struct ifreq request = {};

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCGIFFLAGS, &request) || !(request.ifr_flags & IFF_UP))
		return 0;
	return ioctl(fd, SIOCGIFHWADDR, &request) == 0 && request.ifr_hwaddr.sa_family == ARPHRD_ETHER;
}

static int check_namespace(void)
{
	struct if_nameindex *links = if_nameindex();
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), seen = 0;

	libbpf_set_print(NULL);
	if (links == NULL || fd < 0)
		return fail("namespace", "interfaces cannot be listed");
	for (const struct if_nameindex *link = links; link->if_index != 0; link++) {
		__u32 program;

		if (!is_served_kind(fd, link->if_name))
			continue;
		seen = 1;
		program = attached_program((int)link->if_index);
		if (program == 0)
			return fail(link->if_name, "no program attached");
		if (!serves(program))
			return fail(link->if_name, "its program serves nothing");
	}
	return seen ? 0 : fail("namespace", "no interface is up");
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		fputs("usage: amphora-datapath-check\n", stderr);
		return 2;
	}
	return check_namespace();
}
