// SPDX-License-Identifier: Apache-2.0
#include "netns_socket.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <vector>

#include "arguments.h"
#include "errors.h"
#include "fd.h"
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

Napi::Value SendFrames(const Napi::CallbackInfo& info) {
  const Napi::Object options = arguments::ToObject(info[0], "options");
  const std::string netns = arguments::ToString(options.Get("netns"), "netns");
  const auto ifindex = static_cast<int>(arguments::ToUint32(options.Get("ifindex"), "ifindex"));
  const Napi::Value list = options.Get("frames");
  if (!list.IsArray()) throw Napi::TypeError::New(info.Env(), "frames must be an array");
  const auto array = list.As<Napi::Array>();
  std::vector<arguments::Bytes> frames;
  for (uint32_t i = 0; i < array.Length(); i++) {
    const auto frame = arguments::ToBytes(array.Get(i), "frame");
    if (frame.size() < ETH_HLEN) throw Napi::RangeError::New(info.Env(), "a frame has at least 14 bytes");
    frames.push_back(frame);
  }
  uint32_t sent = 0;
  bool entered = true;
  const int error = RunInNetns(
      netns,
      [&] {
        // Protocol 0: nothing is received on it.
        const Fd packet(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
        if (!packet.IsOpen()) return -errno;
        for (const auto& frame : frames) {
          sockaddr_ll to{};
          to.sll_family = AF_PACKET;
          to.sll_ifindex = ifindex;
          const auto* address = reinterpret_cast<const sockaddr*>(&to);
          if (sendto(packet.Get(), frame.data(), frame.size(), 0, address, sizeof(to)) < 0) return -errno;
          sent++;
        }
        return 0;
      },
      &entered);
  if (!entered) ThrowErrno(info.Env(), "setns " + netns, error);
  if (error) ThrowErrno(info.Env(), "send frame on interface " + std::to_string(ifindex), error);
  return Napi::Number::New(info.Env(), sent);
}
