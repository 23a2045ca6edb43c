// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <unistd.h>

#include <cstdio>
#include <string_view>

// A pin opens whatever was pinned there, and bpf(2) answers to the wrong kind with another kind's fields. The kernel
// names the kind in the descriptor's link target.
inline bool IsDescriptorOf(int fd, std::string_view kind) {
  char path[32];
  char target[64];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(path, target, sizeof(target));
  return size > 0 && std::string_view(target, static_cast<size_t>(size)).ends_with(kind);
}

inline bool IsMap(int fd) { return IsDescriptorOf(fd, ":bpf-map"); }

// Older kernels write bpf_link.
inline bool IsLink(int fd) { return IsDescriptorOf(fd, ":bpf-link") || IsDescriptorOf(fd, ":bpf_link"); }
