// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

// Checked readings of what JavaScript handed over: a wrong type is a TypeError that names the argument, never a crash.
namespace arguments {

using Bytes = std::span<uint8_t>;

// A Uint8Array (a Buffer is one); the span is valid until JavaScript runs again.
Bytes ToBytes(const Napi::Value& value, const char* name);
// The same, of a size that is known: RangeError otherwise.
Bytes ToBytes(const Napi::Value& value, const char* name, size_t size);
uint32_t ToUint32(const Napi::Value& value, const char* name);
int ToFd(const Napi::Value& value, const char* name);
// Without NUL, so that the C string is the whole of it.
std::string ToString(const Napi::Value& value, const char* name);
Napi::Object ToObject(const Napi::Value& value, const char* name);

// Absent, undefined and null are "none".
bool IsNone(const Napi::Value& value);
uint32_t ToUint32Or(const Napi::Value& value, const char* name, uint32_t otherwise);
std::optional<std::string> ToOptionalString(const Napi::Value& value, const char* name);

Napi::Uint8Array NewBytes(Napi::Env env, const void* data, size_t size);

}  // namespace arguments
