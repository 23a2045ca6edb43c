// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <bpf/libbpf.h>

#include <map>
#include <memory>
#include <set>
#include <string>

// A loaded object: its programs and maps. Closing it closes the maps that map() gave out; what is pinned or attached
// stays in the kernel.
class BpfObject : public Napi::ObjectWrap<BpfObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  // openObject(path: string, options?: OpenOptions): BpfObject
  static Napi::Value OpenFile(const Napi::CallbackInfo& info);

  explicit BpfObject(const Napi::CallbackInfo& info);

 private:
  struct Closer {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
  };
  using Handle = std::unique_ptr<bpf_object, Closer>;
  struct Arrival;
  static thread_local Arrival* arrival;

  Napi::Value Map(const Napi::CallbackInfo& info);
  Napi::Value MapNames(const Napi::CallbackInfo& info);
  Napi::Value ProgramNames(const Napi::CallbackInfo& info);
  Napi::Value ProgramFd(const Napi::CallbackInfo& info);
  Napi::Value TestRun(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  bpf_object* Open() const;
  bpf_program* FindProgram(const Napi::Value& name) const;

  Handle handle_;
  std::set<std::string> reused_;
  std::map<std::string, Napi::ObjectReference> maps_;
};
