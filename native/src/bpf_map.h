// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <string>

#include "fd.h"
#include "map_batch.h"

// A map's descriptor. Its own duplicate, so that the object it came from may be closed first.
class BpfMap : public Napi::ObjectWrap<BpfMap> {
 public:
  static Napi::Function Define(Napi::Env env);
  // Takes the descriptor over. `name`: as the object calls it; empty: the kernel's, which is cut to 15 characters.
  static Napi::Object New(Napi::Env env, Fd fd, const std::string& name, bool reused);
  // The map behind a JavaScript value; TypeError if it is none, EBADF if it was closed.
  static BpfMap& From(const Napi::Value& value, const char* name);

  explicit BpfMap(const Napi::CallbackInfo& info);
  int OpenFd() const;
  const std::string& Name() const { return shape_.name; }
  void Close();

 private:
  Napi::Value Info(const Napi::CallbackInfo& info);
  Napi::Value Lookup(const Napi::CallbackInfo& info);
  void Update(const Napi::CallbackInfo& info);
  Napi::Value Delete(const Napi::CallbackInfo& info);
  Napi::Value UpdateBatch(const Napi::CallbackInfo& info);
  Napi::Value DeleteBatch(const Napi::CallbackInfo& info);
  Napi::Value ReadBatch(const Napi::CallbackInfo& info);
  Napi::Value Dump(const Napi::CallbackInfo& info);
  void SetInner(const Napi::CallbackInfo& info);
  Napi::Value SetInners(const Napi::CallbackInfo& info);
  Napi::Value Mmap(const Napi::CallbackInfo& info);
  void Pin(const Napi::CallbackInfo& info);
  void CloseMethod(const Napi::CallbackInfo& info);

  // Throws when closed, else the map as the batch functions want it.
  MapShape& Open();
  std::string Tried(const char* call) const { return std::string(call) + " " + shape_.name; }

  Fd fd_;
  MapShape shape_;
  uint32_t flags_ = 0;
  uint32_t id_ = 0;
  bool reused_ = false;
  Napi::Reference<Napi::Uint8Array> view_;  // of mmap(); its memory is unmapped when JavaScript has let go of it
};
