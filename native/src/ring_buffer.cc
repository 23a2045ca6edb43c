// SPDX-License-Identifier: Apache-2.0
#include "ring_buffer.h"

#include <bpf/libbpf.h>
#include <uv.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "addon_data.h"
#include "arguments.h"
#include "bpf_map.h"
#include "errors.h"
#include "fd.h"
#include "log.h"

namespace {

// Bounds one callback's work; what is left brings the loop back at once, after other events had their turn.
constexpr size_t kMaxRecords = 1024;

// Records of one delivery, each beginning at a multiple of 8, so that JavaScript may view 64-bit fields in place.
struct Batch {
  std::vector<uint8_t> bytes;
  std::vector<std::pair<size_t, size_t>> records;  // offset, size

  void Add(const void* data, size_t size) {
    const size_t offset = bytes.size();
    bytes.resize(offset + ((size + 7) & ~size_t{7}));
    std::memcpy(bytes.data() + offset, data, size);
    records.emplace_back(offset, size);
  }
};

// libbpf stops behind the record for which this returns less than 0.
int AddRecord(void* context, void* data, size_t size) {
  auto& batch = *static_cast<Batch*>(context);
  batch.Add(data, size);
  return batch.records.size() < kMaxRecords ? 0 : -ECANCELED;
}

Napi::Array ToArray(Napi::Env env, const Batch& batch) {
  auto buffer = Napi::ArrayBuffer::New(env, batch.bytes.size());
  std::memcpy(buffer.Data(), batch.bytes.data(), batch.bytes.size());
  auto records = Napi::Array::New(env, batch.records.size());
  for (uint32_t i = 0; i < batch.records.size(); i++) {
    const auto [offset, size] = batch.records[i];
    records.Set(i, Napi::Uint8Array::New(env, size, buffer, offset));
  }
  return records;
}

}  // namespace

// The part that libuv knows. It must live until libuv has closed the handle, whatever becomes of the JavaScript object.
class RingBuffer::Poll {
 public:
  // Returns 0 or a negative errno; after an error the poll may only be deleted.
  int Start(napi_env env, Fd map, RingBuffer* owner) {
    map_ = std::move(map);
    ring_ = ring_buffer__new(map_.Get(), AddRecord, &batch_, nullptr);
    if (!ring_) return -errno;
    uv_loop_t* loop = nullptr;
    if (napi_get_uv_event_loop(env, &loop) != napi_ok) return -ENOSYS;
    if (const int error = uv_poll_init(loop, &handle_, ring_buffer__epoll_fd(ring_))) return error;
    handle_.data = this;
    owner_ = owner;
    Resume();
    uv_unref(reinterpret_cast<uv_handle_t*>(&handle_));
    // A worker that ends must close its handles first.
    napi_add_async_cleanup_hook(
        env, [](napi_async_cleanup_hook_handle, void* self) { static_cast<Poll*>(self)->Stop(); }, this, &hook_);
    return 0;
  }

  void Resume() {
    uv_poll_start(&handle_, UV_READABLE, [](uv_poll_t* handle, int, int) {
      auto* poll = static_cast<Poll*>(handle->data);
      poll->owner_->Deliver(*poll);
    });
  }

  void Pause() { uv_poll_stop(&handle_); }

  ~Poll() { ring_buffer__free(ring_); }

  Batch Consume() {
    batch_.bytes.reserve(4096);
    ring_buffer__consume(ring_);
    return std::exchange(batch_, {});
  }

  // Ends delivery at once; the memory goes when libuv has let go of the handle.
  void Stop() {
    if (!owner_) return;
    std::exchange(owner_, nullptr)->poll_ = nullptr;
    uv_poll_stop(&handle_);
    ring_buffer__free(std::exchange(ring_, nullptr));
    map_.Reset();
    uv_close(reinterpret_cast<uv_handle_t*>(&handle_), [](uv_handle_t* handle) {
      auto* poll = static_cast<Poll*>(handle->data);
      napi_remove_async_cleanup_hook(poll->hook_);
      delete poll;
    });
  }

 private:
  uv_poll_t handle_{};
  Fd map_;
  ring_buffer* ring_ = nullptr;
  Batch batch_;
  RingBuffer* owner_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

struct RingBuffer::Arrival {
  Fd map;
  std::string name;
  Napi::Function callback;
};
thread_local RingBuffer::Arrival* RingBuffer::arrival = nullptr;

Napi::Function RingBuffer::Define(Napi::Env env) {
  return DefineClass(env, "RingBuffer", {
                                           InstanceMethod<&RingBuffer::PauseMethod>("pause"),
                                           InstanceMethod<&RingBuffer::ResumeMethod>("resume"),
                                           InstanceMethod<&RingBuffer::CloseMethod>("close"),
                                       });
}

Napi::Value RingBuffer::Open(const Napi::CallbackInfo& info) {
  const BpfMap& map = BpfMap::From(info[0], "map");
  if (!info[1].IsFunction()) throw Napi::TypeError::New(info.Env(), "onRecords must be a function");
  Arrival state{Fd::Duplicate(map.OpenFd()), map.Name(), info[1].As<Napi::Function>()};
  if (!state.map.IsOpen()) ThrowErrno(info.Env(), "dup of map " + state.name, errno);
  return log_lines::Logged(info.Env(), [&]() -> Napi::Value {
    arrival = &state;
    return AddonData::Of(info.Env()).ring_buffer.New({});
  });
}

RingBuffer::RingBuffer(const Napi::CallbackInfo& info)
    : ObjectWrap(info), context_(info.Env(), "amphora_xdp:RingBuffer") {
  Arrival* state = std::exchange(arrival, nullptr);
  if (!state) throw Napi::TypeError::New(info.Env(), "a RingBuffer comes from openRingBuffer");
  auto poll = std::make_unique<Poll>();
  if (const int error = poll->Start(info.Env(), std::move(state->map), this))
    ThrowErrno(info.Env(), "ring_buffer__new " + state->name, error);
  poll_ = poll.release();
  callback_ = Napi::Persistent(state->callback);
  Ref();
}

RingBuffer::~RingBuffer() {
  if (poll_) poll_->Stop();
}

void RingBuffer::PauseMethod(const Napi::CallbackInfo&) {
  if (poll_) poll_->Pause();
}

void RingBuffer::ResumeMethod(const Napi::CallbackInfo&) {
  if (poll_) poll_->Resume();
}

void RingBuffer::CloseMethod(const Napi::CallbackInfo&) {
  if (!poll_) return;
  poll_->Stop();
  Unref();
}

void RingBuffer::Deliver(Poll& poll) {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  const Batch batch = poll.Consume();
  if (batch.records.empty()) return;
  try {
    // The callback may close this ring buffer, so nothing of it is touched afterwards.
    callback_.MakeCallback(env.Global(), {ToArray(env, batch)}, context_);
  } catch (const Napi::Error& error) {
    // A worker that is being ended can no longer run JavaScript, and there is nobody to tell.
    if (!error.IsEmpty()) napi_fatal_exception(env, error.Value());
  }
}
