// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

// ifindexByName(name: string, netns: string | null): number
Napi::Value IfindexByName(const Napi::CallbackInfo& info);
// socketInNetns({ netns, family, type, protocol }): number. The socket stays in that namespace; its fd is the caller's.
Napi::Value SocketInNetns(const Napi::CallbackInfo& info);

// sendFrames({ netns, ifindex, frames }): number
Napi::Value SendFrames(const Napi::CallbackInfo& info);
