// SPDX-License-Identifier: Apache-2.0
#include "datagrams.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "arguments.h"
#include "fd.h"

namespace {

constexpr size_t kPerCall = 64;

// Datagrams to a Unix socket, in order, on a thread of libuv's pool: a receiver that is slow to read (a few datagrams
// fill its queue) holds up nobody else. A socket of its own each time, since the receiver's may have been made anew.
class Sending : public Napi::AsyncWorker {
 public:
  Sending(Napi::Env env, const sockaddr_un& to, std::vector<uint8_t> bytes, std::vector<uint32_t> lengths,
          uint32_t timeout_ms)
      : AsyncWorker(env, "amphora_xdp:SendDatagrams"),
        deferred_(Napi::Promise::Deferred::New(env)),
        to_(to),
        bytes_(std::move(bytes)),
        lengths_(std::move(lengths)),
        end_(std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms)) {}

  Napi::Promise Promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    const Fd socket_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_fd.IsOpen() || connect(socket_fd.Get(), reinterpret_cast<const sockaddr*>(&to_), sizeof(to_))) {
      error_ = errno;
      return;
    }
    while (sent_ < lengths_.size() && !error_) {
      if (SendSome(socket_fd.Get())) continue;
      error_ = errno == EAGAIN || errno == ENOBUFS ? AwaitRoom(socket_fd.Get()) : errno;
    }
  }

  void OnOK() override {
    Napi::Object result = Napi::Object::New(Env());
    result.Set("sent", Napi::Number::New(Env(), static_cast<double>(sent_)));
    const char* name = strerrorname_np(error_);
    result.Set("code", error_ ? Napi::String::New(Env(), name ? name : "EIO") : Env().Null());
    deferred_.Resolve(result);
  }

 private:
  // False with errno set when nothing could be sent.
  bool SendSome(int fd) {
    mmsghdr messages[kPerCall]{};
    iovec parts[kPerCall];
    const size_t count = std::min(kPerCall, lengths_.size() - sent_);
    uint8_t* at = bytes_.data() + offset_;
    for (size_t i = 0; i < count; i++) {
      parts[i] = {at, lengths_[sent_ + i]};
      at += lengths_[sent_ + i];
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int done = sendmmsg(fd, messages, static_cast<unsigned>(count), MSG_NOSIGNAL);
    if (done <= 0) return false;
    for (int i = 0; i < done; i++) offset_ += lengths_[sent_++];
    return true;
  }

  // 0 when there is room again, else an errno.
  int AwaitRoom(int fd) const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now());
    pollfd one{.fd = fd, .events = POLLOUT, .revents = 0};
    const int ready = poll(&one, 1, std::max<int>(0, static_cast<int>(left.count())));
    if (ready > 0) return 0;
    return ready == 0 ? ETIMEDOUT : errno == EINTR ? 0 : errno;
  }

  Napi::Promise::Deferred deferred_;
  sockaddr_un to_;
  std::vector<uint8_t> bytes_;
  std::vector<uint32_t> lengths_;
  std::chrono::steady_clock::time_point end_;
  size_t sent_ = 0;
  size_t offset_ = 0;
  int error_ = 0;
};

}  // namespace

Napi::Value SendDatagrams(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string path = arguments::ToString(info[0], "path");
  const arguments::Bytes bytes = arguments::ToBytes(info[1], "bytes");
  if (!info[2].IsTypedArray() || info[2].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array)
    throw Napi::TypeError::New(env, "lengths must be a Uint32Array");
  const auto list = info[2].As<Napi::Uint32Array>();
  const uint32_t timeout_ms = arguments::ToUint32(info[3], "timeoutMs");
  std::vector<uint32_t> lengths(list.Data(), list.Data() + list.ElementLength());
  uint64_t total = 0;
  for (const uint32_t length : lengths) total += length;
  if (total != bytes.size()) throw Napi::RangeError::New(env, "lengths must sum up to the size of bytes");
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(to.sun_path))
    throw Napi::RangeError::New(env, "path must hold 1 to 107 bytes");
  std::memcpy(to.sun_path, path.data(), path.size());
  auto* sending = new Sending(env, to, {bytes.begin(), bytes.end()}, std::move(lengths), timeout_ms);
  const Napi::Promise promise = sending->Promise();
  sending->Queue();
  return promise;
}
