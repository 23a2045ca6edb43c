// SPDX-License-Identifier: Apache-2.0
#include "netns_socket.h"

#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "arguments.h"
#include "errors.h"
#include "netns.h"

Napi::Value IfindexByName(const Napi::CallbackInfo& info) {
  const std::string name = arguments::ToString(info[0], "name");
  const auto netns = arguments::ToOptionalString(info[1], "netns");
  unsigned ifindex = 0;
  bool entered = true;
  const int error = RunInNetns(
      netns,
      [&] {
        ifindex = if_nametoindex(name.c_str());
        return ifindex == 0 && errno != ENODEV ? -errno : 0;
      },
      &entered);
  if (!entered) ThrowErrno(info.Env(), "setns " + *netns, error);
  if (error) ThrowErrno(info.Env(), "if_nametoindex " + name, error);
  return Napi::Number::New(info.Env(), ifindex);
}

Napi::Value SocketInNetns(const Napi::CallbackInfo& info) {
  const Napi::Object options = arguments::ToObject(info[0], "options");
  const std::string netns = arguments::ToString(options.Get("netns"), "netns");
  const int family = arguments::ToFd(options.Get("family"), "family");
  const int type = arguments::ToFd(options.Get("type"), "type");
  const int protocol = arguments::ToFd(options.Get("protocol"), "protocol");
  bool entered = true;
  const int fd = RunInNetns(
      netns,
      [&] {
        const int made = socket(family, type | SOCK_CLOEXEC, protocol);
        return made >= 0 ? made : -errno;
      },
      &entered);
  if (!entered) ThrowErrno(info.Env(), "setns " + netns, fd);
  if (fd < 0) ThrowErrno(info.Env(), "socket in " + netns, fd);
  return Napi::Number::New(info.Env(), fd);
}
