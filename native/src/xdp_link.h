// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include "fd.h"

// An XDP program's hold on an interface (bpf_link). The kernel detaches the program when the last descriptor and pin
// of the link are gone, so a link that shall outlive this handle must be pinned.
class XdpLink : public Napi::ObjectWrap<XdpLink> {
 public:
  static Napi::Function Define(Napi::Env env);
  // attachXdp({ programFd, ifindex, netns, mode }): BpfLink
  static Napi::Value Attach(const Napi::CallbackInfo& info);
  // openPinnedLink(path: string): BpfLink
  static Napi::Value OpenPinned(const Napi::CallbackInfo& info);

  explicit XdpLink(const Napi::CallbackInfo& info);

 private:
  static Napi::Object New(Napi::Env env, Fd fd);
  Napi::Value Ifindex(const Napi::CallbackInfo& info);
  void Update(const Napi::CallbackInfo& info);
  void Pin(const Napi::CallbackInfo& info);
  void Detach(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  int Open() const;

  Fd fd_;
};
