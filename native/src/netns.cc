// SPDX-License-Identifier: Apache-2.0
#include "netns.h"

#include <sched.h>

#include <cerrno>
#include <system_error>
#include <thread>

#include "fd.h"
#include "log.h"
#include "signals.h"

namespace {

int Enter(const std::string& path) {
  const Fd netns(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!netns.IsOpen()) return -errno;
  return setns(netns.Get(), CLONE_NEWNET) == 0 ? 0 : -errno;
}

}  // namespace

int RunInNetns(const std::optional<std::string>& path, const std::function<int()>& work, bool* entered) {
  if (entered) *entered = true;
  if (!path) return work();

  int result = 0;
  log_lines::Lines lines;
  try {
    // The new thread inherits the mask: a signal of the process must find a thread of Node's, not this one, which lives
    // for a moment in another namespace.
    const BlockSignals block;
    std::thread thread([&] {
      result = Enter(*path);
      if (result == 0) {
        result = work();
      } else if (entered) {
        *entered = false;
      }
      lines = log_lines::Take();
    });
    thread.join();
  } catch (const std::system_error& error) {
    if (entered) *entered = false;
    return -error.code().value();
  }
  log_lines::Append(std::move(lines));
  return result;
}
