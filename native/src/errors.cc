// SPDX-License-Identifier: Apache-2.0
#include "errors.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kNotSupported = 524;  // the kernel's internal ENOTSUPP, which bpf(2) lets escape

std::string CodeOf(int error) {
  if (error == kNotSupported) return "ENOTSUPP";
  if (const char* name = strerrorname_np(error)) return name;
  return "LIBBPF_" + std::to_string(error);
}

std::string TextOf(int error) {
  if (error == kNotSupported) return "operation not supported by this kernel";
  char text[256] = "";
  libbpf_strerror(error, text, sizeof(text));
  return text;
}

}  // namespace

void ThrowErrno(Napi::Env env, std::string_view tried, int error, std::string_view detail) {
  const int number = std::abs(error);
  const std::string code = CodeOf(number);
  std::string message = std::string(tried) + ": " + TextOf(number) + " (" + code + ")";
  if (!detail.empty()) message.append(": ").append(detail);

  Napi::Error thrown = Napi::Error::New(env, message);
  thrown.Set("errno", Napi::Number::New(env, number));
  thrown.Set("code", Napi::String::New(env, code));
  thrown.Set("tried", Napi::String::New(env, std::string(tried)));
  throw thrown;
}

void ThrowClosed(Napi::Env env, std::string_view what) {
  ThrowErrno(env, std::string("use after close of ").append(what), EBADF);
}
