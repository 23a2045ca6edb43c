// SPDX-License-Identifier: Apache-2.0
#include "tc_hook.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <functional>
#include <optional>
#include <string>

#include "arguments.h"
#include "errors.h"
#include "log.h"
#include "netns.h"

namespace tc_hook {
namespace {

struct Place {
  int ifindex;
  std::optional<std::string> netns;
  uint32_t priority;
  uint32_t handle;
};

Place PlaceOf(const Napi::Object& options) {
  return {arguments::ToFd(options.Get("ifindex"), "ifindex"),
          arguments::ToOptionalString(options.Get("netns"), "netns"),
          arguments::ToUint32(options.Get("priority"), "priority"),
          arguments::ToUint32(options.Get("handle"), "handle")};
}

// libbpf warns when clsact is there already; that is the usual case and no news.
int CreateClsact(bpf_tc_hook* hook) {
  log_lines::Lines before = log_lines::Take();
  const int error = bpf_tc_hook_create(hook);
  if (error == -EEXIST) log_lines::Take();
  log_lines::Lines said = log_lines::Take();
  log_lines::Append(std::move(before));
  log_lines::Append(std::move(said));
  return error == -EEXIST ? 0 : error;
}

void Run(Napi::Env env, const char* call, const Place& place, const std::function<int(bpf_tc_hook*)>& work) {
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = place.ifindex, .attach_point = BPF_TC_INGRESS);
  log_lines::Logged(env, [&] {
    bool entered = true;
    const int error = RunInNetns(place.netns, [&] { return work(&hook); }, &entered);
    if (!entered) ThrowErrno(env, "setns " + *place.netns, error);
    if (error)
      ThrowErrno(env, std::string(call) + " interface " + std::to_string(place.ifindex), error,
                 log_lines::TailOfWarnings(512));
  });
}

}  // namespace

void Attach(const Napi::CallbackInfo& info) {
  const Napi::Object options = arguments::ToObject(info[0], "options");
  const int program = arguments::ToFd(options.Get("programFd"), "programFd");
  const Place place = PlaceOf(options);
  Run(info.Env(), "bpf_tc_attach", place, [&](bpf_tc_hook* hook) {
    if (const int error = CreateClsact(hook)) return error;
    LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = program, .flags = BPF_TC_F_REPLACE, .handle = place.handle,
                .priority = place.priority);
    return bpf_tc_attach(hook, &filter);
  });
}

void Detach(const Napi::CallbackInfo& info) {
  const Place place = PlaceOf(arguments::ToObject(info[0], "options"));
  Run(info.Env(), "bpf_tc_detach", place, [&](bpf_tc_hook* hook) {
    LIBBPF_OPTS(bpf_tc_opts, filter, .handle = place.handle, .priority = place.priority);
    return bpf_tc_detach(hook, &filter);
  });
}

}  // namespace tc_hook
