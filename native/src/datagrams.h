// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

// sendDatagrams(path: string, bytes: Uint8Array, lengths: Uint32Array, timeoutMs: number):
//   Promise<{ sent: number; code: string | null }>
Napi::Value SendDatagrams(const Napi::CallbackInfo& info);
