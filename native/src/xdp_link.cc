// SPDX-License-Identifier: Apache-2.0
#include "xdp_link.h"

#include <bpf/bpf.h>
#include <linux/if_link.h>

#include <cerrno>
#include <string>
#include <utility>

#include "addon_data.h"
#include "arguments.h"
#include "errors.h"
#include "log.h"
#include "netns.h"
#include "pinned.h"

namespace {

// What New() leaves for the constructor that it calls.
thread_local Fd* arrival = nullptr;

uint32_t FlagsOfMode(const Napi::Value& value) {
  const std::string mode = arguments::ToString(value, "mode");
  if (mode == "native") return XDP_FLAGS_DRV_MODE;
  if (mode == "skb") return XDP_FLAGS_SKB_MODE;
  if (mode == "any") return 0;
  throw Napi::TypeError::New(value.Env(), "mode must be native, skb or any");
}

bpf_link_info InfoOf(Napi::Env env, int fd) {
  bpf_link_info info{};
  uint32_t size = sizeof(info);
  if (const int error = bpf_obj_get_info_by_fd(fd, &info, &size)) ThrowErrno(env, "bpf_obj_get_info_by_fd link", error);
  return info;
}

}  // namespace

Napi::Function XdpLink::Define(Napi::Env env) {
  return DefineClass(env, "BpfLink",
                     {InstanceAccessor<&XdpLink::Ifindex>("ifindex"),
                      InstanceMethod<&XdpLink::Update>("update"),
                      InstanceMethod<&XdpLink::Pin>("pin"),
                      InstanceMethod<&XdpLink::Detach>("detach"),
                      InstanceMethod<&XdpLink::Close>("close")});
}

Napi::Value XdpLink::Attach(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Object options = arguments::ToObject(info[0], "options");
  const int program = arguments::ToFd(options.Get("programFd"), "programFd");
  const int ifindex = arguments::ToFd(options.Get("ifindex"), "ifindex");
  const auto netns = arguments::ToOptionalString(options.Get("netns"), "netns");
  LIBBPF_OPTS(bpf_link_create_opts, create, .flags = FlagsOfMode(options.Get("mode")));

  return log_lines::Logged(env, [&]() -> Napi::Value {
    bool entered = true;
    Fd fd(RunInNetns(netns, [&] { return bpf_link_create(program, ifindex, BPF_XDP, &create); }, &entered));
    if (!entered) ThrowErrno(env, "setns " + *netns, fd.Release());
    if (!fd.IsOpen()) ThrowErrno(env, "bpf_link_create xdp on interface " + std::to_string(ifindex), fd.Release());
    return New(env, std::move(fd));
  });
}

Napi::Value XdpLink::OpenPinned(const Napi::CallbackInfo& info) {
  const std::string path = arguments::ToString(info[0], "path");
  Fd fd(bpf_obj_get(path.c_str()));
  if (!fd.IsOpen()) ThrowErrno(info.Env(), "bpf_obj_get " + path, errno);
  if (!IsLink(fd.Get()) || InfoOf(info.Env(), fd.Get()).type != BPF_LINK_TYPE_XDP)
    ThrowErrno(info.Env(), "bpf_obj_get " + path, EINVAL, "it is no XDP link");
  return New(info.Env(), std::move(fd));
}

Napi::Object XdpLink::New(Napi::Env env, Fd fd) {
  arrival = &fd;
  return AddonData::Of(env).xdp_link.New({});
}

XdpLink::XdpLink(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  Fd* fd = std::exchange(arrival, nullptr);
  if (!fd) throw Napi::TypeError::New(info.Env(), "a BpfLink comes from attachXdp or a pin");
  fd_ = std::move(*fd);
}

int XdpLink::Open() const {
  if (!fd_.IsOpen()) ThrowClosed(Env(), "link");
  return fd_.Get();
}

// Asked anew each time: 0 once the interface is gone or the link is detached.
Napi::Value XdpLink::Ifindex(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), InfoOf(info.Env(), Open()).xdp.ifindex);
}

void XdpLink::Update(const Napi::CallbackInfo& info) {
  const int program = arguments::ToFd(info[0], "programFd");
  if (const int error = bpf_link_update(Open(), program, nullptr)) ThrowErrno(info.Env(), "bpf_link_update", error);
}

void XdpLink::Pin(const Napi::CallbackInfo& info) {
  const std::string path = arguments::ToString(info[0], "path");
  if (const int error = bpf_obj_pin(Open(), path.c_str())) ThrowErrno(info.Env(), "bpf_obj_pin link " + path, error);
}

void XdpLink::Detach(const Napi::CallbackInfo& info) {
  if (const int error = bpf_link_detach(Open())) ThrowErrno(info.Env(), "bpf_link_detach", error);
}

void XdpLink::Close(const Napi::CallbackInfo&) { fd_.Reset(); }
