// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <string>
#include <vector>

// libbpf prints through one function per process, on whichever thread it runs. Lines are collected per thread and
// handed over when the call is done, so that JavaScript hears them on its own thread only.
namespace log_lines {

struct Line {
  int level;  // enum libbpf_print_level: 0 warn, 1 info, 2 debug
  std::string text;
};
using Lines = std::vector<Line>;

// Routes libbpf's prints here instead of to stderr.
void Install();

// Everything this thread has collected, which is then empty.
Lines Take();
// Puts what another thread collected behind this thread's own.
void Append(Lines lines);
// The end of the collected warnings, at most `size` bytes, beginning with a whole line where it can.
std::string TailOfWarnings(size_t size);

// Sets the callback of this environment; undefined or null: silence.
void SetCallback(Napi::Env env, const Napi::Value& callback);
// Calls it with the lines that this thread has collected. What it throws becomes an uncaught exception: the call
// that libbpf spoke of has been made and keeps its own result.
void Deliver(Napi::Env env);

// Runs a piece of work that makes libbpf speak and delivers what was said, whether it throws or not.
template <typename Work>
auto Logged(Napi::Env env, Work work) {
  struct OnExit {
    Napi::Env env;
    ~OnExit() { Deliver(env); }
  } on_exit{env};
  return work();
}

}  // namespace log_lines
