// SPDX-License-Identifier: Apache-2.0
#include "test_run.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "arguments.h"
#include "errors.h"
#include "netns.h"
#include "signals.h"

namespace {

constexpr size_t kGrowth = 256;  // what an answer may exceed the packet by: encapsulations, an ICMP error's headers

template <typename Context>
std::vector<uint8_t> Packed(const Context& context) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&context);
  return {bytes, bytes + sizeof(context)};
}

// A context that says which interface the packet came in by.
std::vector<uint8_t> ContextFor(bpf_prog_type type, uint32_t ifindex, size_t packet_size) {
  if (type == BPF_PROG_TYPE_XDP) {
    xdp_md context{};
    context.data_end = static_cast<uint32_t>(packet_size);
    context.ingress_ifindex = ifindex;
    return Packed(context);
  }
  __sk_buff context{};
  context.ifindex = ifindex;
  context.ingress_ifindex = ifindex;
  return Packed(context);
}

}  // namespace

Napi::Value RunTest(const bpf_program* program, const Napi::Value& packet_value, const Napi::Value& options_value) {
  const Napi::Env env = packet_value.Env();
  const Napi::Object options =
      arguments::IsNone(options_value) ? Napi::Object::New(env) : arguments::ToObject(options_value, "options");
  const bpf_prog_type type = bpf_program__type(program);
  const bool is_syscall = type == BPF_PROG_TYPE_SYSCALL;

  const uint32_t repeat = arguments::ToUint32Or(options.Get("repeat"), "repeat", 1);
  const uint32_t ifindex = arguments::ToUint32Or(options.Get("ingressIfindex"), "ingressIfindex", 0);
  const auto netns = arguments::ToOptionalString(options.Get("netns"), "netns");
  std::vector<uint8_t> context;
  const auto packet = arguments::ToBytes(packet_value, "packet");
  if (const Napi::Value given = options.Get("context"); !arguments::IsNone(given)) {
    const auto bytes = arguments::ToBytes(given, "context");
    context.assign(bytes.begin(), bytes.end());
  } else if (ifindex != 0 && !is_syscall) {
    context = ContextFor(type, ifindex, packet.size());
  }

  std::vector<uint8_t> answer(is_syscall ? 0 : packet.size() + kGrowth);
  std::vector<uint8_t> context_answer(is_syscall ? 0 : context.size());
  LIBBPF_OPTS(bpf_test_run_opts, run);
  run.ctx_in = context.empty() ? nullptr : context.data();
  run.ctx_size_in = static_cast<uint32_t>(context.size());
  if (!is_syscall) {  // the kernel refuses all of these for a syscall program, whose context is written in place
    run.data_in = packet.data();
    run.data_size_in = static_cast<uint32_t>(packet.size());
    run.data_out = answer.data();
    run.data_size_out = static_cast<uint32_t>(answer.size());
    run.ctx_out = context_answer.empty() ? nullptr : context_answer.data();
    run.ctx_size_out = static_cast<uint32_t>(context_answer.size());
    run.repeat = static_cast<int>(repeat);
  }

  const std::string tried = std::string("bpf_prog_test_run_opts ") + bpf_program__name(program);
  bool entered = true;
  const int fd = bpf_program__fd(program);
  const auto work = [&] {
    const BlockSignals block;  // a child's SIGCHLD would end a run of many repeats with EINTR
    return bpf_prog_test_run_opts(fd, &run);
  };
  const int error = RunInNetns(netns, work, &entered);
  if (!entered) ThrowErrno(env, "setns " + *netns, error);
  if (error) ThrowErrno(env, tried, error);

  const auto& changed = is_syscall ? context : context_answer;
  const size_t changed_size = is_syscall ? context.size() : run.ctx_size_out;
  Napi::Object result = Napi::Object::New(env);
  result.Set("verdict", Napi::Number::New(env, run.retval));
  result.Set("data", arguments::NewBytes(env, answer.data(), is_syscall ? 0 : run.data_size_out));
  result.Set("context", arguments::NewBytes(env, changed.data(), changed_size));
  result.Set("nanoseconds", Napi::Number::New(env, run.duration));
  return result;
}
