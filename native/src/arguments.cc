// SPDX-License-Identifier: Apache-2.0
#include "arguments.h"

#include <climits>
#include <cmath>
#include <cstring>

namespace arguments {

Bytes ToBytes(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a Uint8Array");
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

Bytes ToBytes(const Napi::Value& value, const char* name, size_t size) {
  const Bytes bytes = ToBytes(value, name);
  if (bytes.size() != size)
    throw Napi::RangeError::New(value.Env(), std::string(name) + " must hold " + std::to_string(size) +
                                                 " bytes, not " + std::to_string(bytes.size()));
  return bytes;
}

uint32_t ToUint32(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= UINT32_MAX) || std::floor(number) != number)
    throw Napi::RangeError::New(value.Env(), std::string(name) + " must be an integer from 0 to 4294967295");
  return static_cast<uint32_t>(number);
}

int ToFd(const Napi::Value& value, const char* name) {
  const uint32_t fd = ToUint32(value, name);
  if (fd > INT_MAX) throw Napi::RangeError::New(value.Env(), std::string(name) + " is no file descriptor");
  return static_cast<int>(fd);
}

std::string ToString(const Napi::Value& value, const char* name) {
  if (!value.IsString()) throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a string");
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.find('\0') != std::string::npos)
    throw Napi::TypeError::New(value.Env(), std::string(name) + " must not contain NUL");
  return text;
}

Napi::Object ToObject(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) throw Napi::TypeError::New(value.Env(), std::string(name) + " must be an object");
  return value.As<Napi::Object>();
}

bool IsNone(const Napi::Value& value) { return value.IsEmpty() || value.IsUndefined() || value.IsNull(); }

uint32_t ToUint32Or(const Napi::Value& value, const char* name, uint32_t otherwise) {
  return IsNone(value) ? otherwise : ToUint32(value, name);
}

std::optional<std::string> ToOptionalString(const Napi::Value& value, const char* name) {
  if (IsNone(value)) return std::nullopt;
  return ToString(value, name);
}

Napi::Uint8Array NewBytes(Napi::Env env, const void* data, size_t size) {
  auto array = Napi::Uint8Array::New(env, size);
  if (size > 0) std::memcpy(array.Data(), data, size);
  return array;
}

}  // namespace arguments
