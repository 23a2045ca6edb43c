// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <bpf/libbpf.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>

#include "addon_data.h"
#include "arguments.h"

namespace log_lines {
namespace {

constexpr size_t kMaxLines = 4096;
constexpr size_t kMaxText = 64 * 1024;  // a verifier log is one line of up to 16 MB; its end says why

thread_local Lines collected;
std::atomic<int> callbacks = 0;  // environments that listen; without any, only warnings are worth formatting

int Collect(enum libbpf_print_level level, const char* format, va_list values) {
  if (level != LIBBPF_WARN && callbacks.load(std::memory_order_relaxed) == 0) return 0;
  if (collected.size() >= kMaxLines) return 0;
  va_list again;
  va_copy(again, values);
  const int size = vsnprintf(nullptr, 0, format, values);
  if (size > 0) {
    std::string text(static_cast<size_t>(size) + 1, '\0');
    vsnprintf(text.data(), text.size(), format, again);
    text.pop_back();
    while (!text.empty() && text.back() == '\n') text.pop_back();
    if (text.size() > kMaxText) text.erase(0, text.size() - kMaxText);
    collected.push_back({static_cast<int>(level), std::move(text)});
  }
  va_end(again);
  return size;
}

}  // namespace

void Install() { libbpf_set_print(Collect); }

Lines Take() {
  Lines lines;
  lines.swap(collected);
  return lines;
}

void Append(Lines lines) {
  for (Line& line : lines) collected.push_back(std::move(line));
}

std::string TailOfWarnings(size_t size) {
  std::string text;
  for (const Line& line : collected)
    if (line.level == LIBBPF_WARN) text.append(text.empty() ? "" : "\n").append(line.text);
  if (text.size() <= size) return text;
  text.erase(0, text.size() - size);
  const size_t newline = text.find('\n');
  return newline == std::string::npos ? text : text.substr(newline + 1);
}

void SetCallback(Napi::Env env, const Napi::Value& callback) {
  AddonData& data = AddonData::Of(env);
  if (!arguments::IsNone(callback) && !callback.IsFunction())
    throw Napi::TypeError::New(env, "the log callback must be a function or null");
  const bool had = !data.log.IsEmpty();
  data.log.Reset();
  if (callback.IsFunction()) data.log = Napi::Persistent(callback.As<Napi::Function>());
  callbacks += static_cast<int>(!data.log.IsEmpty()) - static_cast<int>(had);
}

void Deliver(Napi::Env env) {
  const Lines lines = Take();
  AddonData& data = AddonData::Of(env);
  if (lines.empty() || data.log.IsEmpty()) return;
  Napi::HandleScope scope(env);
  const Napi::Function callback = data.log.Value();
  for (const Line& line : lines) {
    try {
      callback.Call({Napi::Number::New(env, line.level), Napi::String::New(env, line.text)});
    } catch (const Napi::Error& error) {
      if (!error.IsEmpty()) napi_fatal_exception(env, error.Value());
    }
  }
}

}  // namespace log_lines
