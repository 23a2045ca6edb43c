// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <string>
#include <string_view>

// Throws what native/index.ts calls NativeError. `error` is an errno, of either sign, or one of libbpf's own numbers.
// `tried` names the call and its object ("bpf_map_update_batch services"); `detail` ends the message.
[[noreturn]] void ThrowErrno(Napi::Env env, std::string_view tried, int error, std::string_view detail = {});

// For methods of a handle whose close() was called.
[[noreturn]] void ThrowClosed(Napi::Env env, std::string_view what);
