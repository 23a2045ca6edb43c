// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

// A BPF ring buffer's records, delivered to a callback from Node's own loop. Delivery goes on until close(), also when
// JavaScript drops the object; it does not keep the process alive.
class RingBuffer : public Napi::ObjectWrap<RingBuffer> {
 public:
  static Napi::Function Define(Napi::Env env);
  // openRingBuffer(map: BpfMap, onRecords: (records: Uint8Array[]) => void): RingBuffer
  static Napi::Value Open(const Napi::CallbackInfo& info);

  explicit RingBuffer(const Napi::CallbackInfo& info);
  ~RingBuffer() override;

 private:
  class Poll;
  struct Arrival;
  static thread_local Arrival* arrival;

  void PauseMethod(const Napi::CallbackInfo& info);
  void ResumeMethod(const Napi::CallbackInfo& info);
  void CloseMethod(const Napi::CallbackInfo& info);
  void Deliver(Poll& poll);

  Poll* poll_ = nullptr;  // owned by libuv's loop, which frees it behind Stop()
  Napi::FunctionReference callback_;
  Napi::AsyncContext context_;
};
