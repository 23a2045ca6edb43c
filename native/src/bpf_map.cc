// SPDX-License-Identifier: Apache-2.0
#include "bpf_map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include "addon_data.h"
#include "arguments.h"
#include "errors.h"

namespace {

constexpr napi_type_tag kTag = {0x7b1f0c52a9f24c11, 0x9be0d5a2746e3c01};

// What New() leaves for the constructor that it calls; JavaScript itself has nothing to construct from.
struct Arrival {
  Fd fd;
  std::string name;
  bool reused;
};
thread_local Arrival* arrival = nullptr;

size_t RoundUp8(size_t size) { return (size + 7) & ~size_t{7}; }

size_t UserValueSize(const bpf_map_info& info) {
  switch (info.type) {
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_PERCPU_ARRAY:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH:
    case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
      return RoundUp8(info.value_size) * static_cast<size_t>(libbpf_num_possible_cpus());
    default:
      return info.value_size;
  }
}

}  // namespace

Napi::Function BpfMap::Define(Napi::Env env) {
  return DefineClass(env, "BpfMap",
                     {InstanceAccessor<&BpfMap::Info>("info"),
                      InstanceMethod<&BpfMap::Lookup>("lookup"),
                      InstanceMethod<&BpfMap::Update>("update"),
                      InstanceMethod<&BpfMap::Delete>("delete"),
                      InstanceMethod<&BpfMap::UpdateBatch>("updateBatch"),
                      InstanceMethod<&BpfMap::DeleteBatch>("deleteBatch"),
                      InstanceMethod<&BpfMap::ReadBatch>("readBatch"),
                      InstanceMethod<&BpfMap::Dump>("dump"),
                      InstanceMethod<&BpfMap::SetInner>("setInner"),
                      InstanceMethod<&BpfMap::SetInners>("setInners"),
                      InstanceMethod<&BpfMap::Mmap>("mmap"),
                      InstanceMethod<&BpfMap::Pin>("pin"),
                      InstanceMethod<&BpfMap::CloseMethod>("close")});
}

Napi::Object BpfMap::New(Napi::Env env, Fd fd, const std::string& name, bool reused) {
  Arrival state{std::move(fd), name, reused};
  arrival = &state;
  return AddonData::Of(env).bpf_map.New({});
}

BpfMap& BpfMap::From(const Napi::Value& value, const char* name) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag))
    throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a BpfMap");
  BpfMap& map = *Unwrap(value.As<Napi::Object>());
  map.Open();
  return map;
}

BpfMap::BpfMap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  Arrival* state = std::exchange(arrival, nullptr);
  if (!state) throw Napi::TypeError::New(info.Env(), "a BpfMap comes from an object, a pin or createMap");
  fd_ = std::move(state->fd);
  reused_ = state->reused;
  shape_.name = state->name;

  bpf_map_info kernel{};
  uint32_t size = sizeof(kernel);
  if (const int error = bpf_obj_get_info_by_fd(fd_.Get(), &kernel, &size))
    ThrowErrno(info.Env(), Tried("bpf_obj_get_info_by_fd"), error);
  if (shape_.name.empty()) shape_.name = kernel.name;
  shape_.fd = fd_.Get();
  shape_.type = kernel.type;
  shape_.key_size = kernel.key_size;
  shape_.value_size = UserValueSize(kernel);
  shape_.max_entries = kernel.max_entries;
  flags_ = kernel.map_flags;
  id_ = kernel.id;
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

MapShape& BpfMap::Open() {
  if (!fd_.IsOpen()) ThrowClosed(Env(), "map " + shape_.name);
  return shape_;
}

int BpfMap::OpenFd() const { return fd_.Get(); }

Napi::Value BpfMap::Info(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", shape_.name);
  object.Set("type", Napi::Number::New(env, shape_.type));
  object.Set("keySize", Napi::Number::New(env, static_cast<double>(shape_.key_size)));
  object.Set("valueSize", Napi::Number::New(env, static_cast<double>(shape_.value_size)));
  object.Set("maxEntries", Napi::Number::New(env, shape_.max_entries));
  object.Set("flags", Napi::Number::New(env, flags_));
  object.Set("id", Napi::Number::New(env, id_));
  object.Set("reused", Napi::Boolean::New(env, reused_));
  return object;
}

Napi::Value BpfMap::Lookup(const Napi::CallbackInfo& info) {
  const MapShape& map = Open();
  const auto key = arguments::ToBytes(info[0], "key", map.key_size);
  auto value = Napi::Uint8Array::New(info.Env(), map.value_size);
  const int error = bpf_map_lookup_elem(map.fd, key.data(), value.Data());
  if (error == -ENOENT) return info.Env().Null();
  if (error) ThrowErrno(info.Env(), Tried("bpf_map_lookup_elem"), error);
  return value;
}

void BpfMap::Update(const Napi::CallbackInfo& info) {
  const MapShape& map = Open();
  const auto key = arguments::ToBytes(info[0], "key", map.key_size);
  const auto value = arguments::ToBytes(info[1], "value", map.value_size);
  const uint32_t flags = arguments::ToUint32Or(info[2], "flags", BPF_ANY);
  if (const int error = bpf_map_update_elem(map.fd, key.data(), value.data(), flags))
    ThrowErrno(info.Env(), Tried("bpf_map_update_elem"), error);
}

Napi::Value BpfMap::Delete(const Napi::CallbackInfo& info) {
  const MapShape& map = Open();
  const auto key = arguments::ToBytes(info[0], "key", map.key_size);
  const int error = bpf_map_delete_elem(map.fd, key.data());
  if (error && error != -ENOENT) ThrowErrno(info.Env(), Tried("bpf_map_delete_elem"), error);
  return Napi::Boolean::New(info.Env(), error == 0);
}

void BpfMap::SetInner(const Napi::CallbackInfo& info) {
  const MapShape& map = Open();
  const auto key = arguments::ToBytes(info[0], "key", map.key_size);
  const BpfMap& inner = From(info[1], "inner");
  const int fd = inner.OpenFd();
  if (map.value_size != sizeof(fd))
    throw Napi::TypeError::New(info.Env(), map.name + " is no map of maps");
  if (const int error = bpf_map_update_elem(map.fd, key.data(), &fd, BPF_ANY))
    ThrowErrno(info.Env(), Tried("bpf_map_update_elem"), error, "with inner map " + inner.Name());
}

Napi::Value BpfMap::SetInners(const Napi::CallbackInfo& info) {
  const MapShape& map = Open();
  const auto keys = arguments::ToBytes(info[0], "keys");
  if (!info[1].IsArray()) throw Napi::TypeError::New(info.Env(), "inners must be an array");
  const auto inners = info[1].As<Napi::Array>();
  std::vector<int> fds;
  if (map.value_size != sizeof(fds[0])) throw Napi::TypeError::New(info.Env(), map.name + " is no map of maps");
  if (keys.size() != inners.Length() * map.key_size)
    throw Napi::RangeError::New(info.Env(), "keys and inners must hold the same number of records of " + map.name);
  for (uint32_t i = 0; i < inners.Length(); i++) fds.push_back(From(inners.Get(i), "inner").OpenFd());

  const auto outcome = map_batch::Update(map, keys.data(), reinterpret_cast<const uint8_t*>(fds.data()),
                                         static_cast<uint32_t>(fds.size()), BPF_ANY);
  if (outcome.error)
    ThrowErrno(info.Env(), Tried(outcome.tried), outcome.error,
               "after " + std::to_string(outcome.done) + " of " + std::to_string(fds.size()) + " records");
  return Napi::Number::New(info.Env(), outcome.done);
}

Napi::Value BpfMap::Mmap(const Napi::CallbackInfo& info) {
  const MapShape& map = Open();
  if (!view_.IsEmpty()) return view_.Value();
  const size_t size = RoundUp8(map.value_size) * map.max_entries;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, map.fd, 0);
  if (memory == MAP_FAILED) ThrowErrno(info.Env(), Tried("mmap"), errno);
  auto buffer = Napi::ArrayBuffer::New(info.Env(), memory, size,
                                       [](Napi::Env, void* data, size_t* length) {
                                         munmap(data, *length);
                                         delete length;
                                       },
                                       new size_t(size));
  const auto view = Napi::Uint8Array::New(info.Env(), size, buffer, 0);
  view_ = Napi::Persistent(view);
  return view;
}

void BpfMap::Pin(const Napi::CallbackInfo& info) {
  const MapShape& map = Open();
  const std::string path = arguments::ToString(info[0], "path");
  if (const int error = bpf_obj_pin(map.fd, path.c_str()))
    ThrowErrno(info.Env(), Tried("bpf_obj_pin"), error, path);
}

void BpfMap::Close() {
  if (!view_.IsEmpty()) {
    // Detached, the view reads as empty; the memory is unmapped with the buffer.
    view_.Value().ArrayBuffer().Detach();
    view_.Reset();
  }
  fd_.Reset();
}

void BpfMap::CloseMethod(const Napi::CallbackInfo&) { Close(); }
