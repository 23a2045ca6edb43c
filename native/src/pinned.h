// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <unistd.h>

#include <string_view>

inline constexpr std::string_view kPinnedMap = "bpf-map";
inline constexpr std::string_view kPinnedLink = "bpf_link";

// A pin opens whatever was pinned there; bpf(2) answers to the wrong kind with another kind's fields.
inline bool IsKindOf(int fd, std::string_view kind) {
  char target[64];
  char path[32];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(path, target, sizeof(target));
  return size > 0 && std::string_view(target, static_cast<size_t>(size)).ends_with(kind);
}
