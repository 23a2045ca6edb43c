// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

// What one JavaScript environment (the main thread or a worker) has of this addon.
struct AddonData {
  Napi::FunctionReference bpf_map;
  Napi::FunctionReference bpf_object;
  Napi::FunctionReference xdp_link;
  Napi::FunctionReference ring_buffer;
  Napi::FunctionReference log;

  static AddonData& Of(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }
};
