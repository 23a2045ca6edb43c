// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <optional>
#include <string>

// Runs `work` inside the network namespace at `path` (such as /var/run/netns/x), on a thread of its own that ends
// with it: the calling thread never moves. Without a path it runs here. `work` returns 0 or more for success, or a
// negative errno, and must not touch JavaScript nor throw. A namespace that cannot be entered is a negative errno too
// and sets `entered` to false.
int RunInNetns(const std::optional<std::string>& path, const std::function<int()>& work, bool* entered = nullptr);
