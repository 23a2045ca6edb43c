// SPDX-License-Identifier: Apache-2.0
#include "bpf_object.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "addon_data.h"
#include "arguments.h"
#include "bpf_map.h"
#include "errors.h"
#include "fd.h"
#include "log.h"
#include "object_options.h"
#include "object_pins.h"
#include "test_run.h"

namespace {

constexpr size_t kVerifierTail = 4096;

std::set<std::string> NamesIn(const Napi::Value& value, const char* name) {
  std::set<std::string> names;
  if (arguments::IsNone(value)) return names;
  if (!value.IsArray()) throw Napi::TypeError::New(value.Env(), std::string(name) + " must be an array");
  const auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) names.insert(arguments::ToString(array.Get(i), name));
  return names;
}

void CheckUnpinned(Napi::Env env, const bpf_object* object, const std::set<std::string>& unpinned) {
  for (const std::string& name : unpinned)
    if (!bpf_object__find_map_by_name(object, name.c_str()))
      ThrowErrno(env, "unpinned map " + name, ENOENT, "the object has no such map");
}

// Pins are ours to make: an object that asks libbpf for them would pin where no one looks.
void IgnoreOwnPins(bpf_object* object) {
  bpf_map* map;
  bpf_object__for_each_map(map, object) bpf_map__set_pin_path(map, nullptr);
}

void Load(Napi::Env env, bpf_object* object, const std::string& path) {
  const int error = bpf_object__load(object);
  if (!error) return;
  const std::string said = log_lines::TailOfWarnings(kVerifierTail);
  ThrowErrno(env, "bpf_object__load " + path, error, said.empty() ? said : "\n" + said);
}

}  // namespace

struct BpfObject::Arrival {
  Handle handle;
  std::set<std::string> reused;
};
thread_local BpfObject::Arrival* BpfObject::arrival = nullptr;

Napi::Function BpfObject::Define(Napi::Env env) {
  return DefineClass(env, "BpfObject",
                     {InstanceMethod<&BpfObject::Map>("map"),
                      InstanceMethod<&BpfObject::MapNames>("mapNames"),
                      InstanceMethod<&BpfObject::ProgramNames>("programNames"),
                      InstanceMethod<&BpfObject::ProgramFd>("programFd"),
                      InstanceMethod<&BpfObject::TestRun>("testRun"),
                      InstanceMethod<&BpfObject::Close>("close")});
}

Napi::Value BpfObject::OpenFile(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string path = arguments::ToString(info[0], "path");
  const Napi::Object options =
      arguments::IsNone(info[1]) ? Napi::Object::New(env) : arguments::ToObject(info[1], "options");
  const auto directory = arguments::ToOptionalString(options.Get("pinDirectory"), "pinDirectory");
  const auto unpinned = NamesIn(options.Get("unpinned"), "unpinned");

  return log_lines::Logged(env, [&]() -> Napi::Value {
    Arrival state;
    state.handle.reset(bpf_object__open_file(path.c_str(), nullptr));
    if (!state.handle) {
      const int error = errno;
      ThrowErrno(env, "bpf_object__open_file " + path, error, log_lines::TailOfWarnings(kVerifierTail));
    }
    IgnoreOwnPins(state.handle.get());
    ApplyOptions(env, state.handle.get(), options);
    CheckUnpinned(env, state.handle.get(), unpinned);
    std::optional<ObjectPins> pins;
    if (directory) pins.emplace(env, state.handle.get(), *directory, unpinned);
    if (pins) pins->Reuse();
    Load(env, state.handle.get(), path);
    if (pins) {
      pins->PinNew();
      state.reused = pins->Reused();
    }
    arrival = &state;
    const Napi::Object object = AddonData::Of(env).bpf_object.New({});
    if (pins) pins->Keep();
    return object;
  });
}

BpfObject::BpfObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  Arrival* state = std::exchange(arrival, nullptr);
  if (!state) throw Napi::TypeError::New(info.Env(), "a BpfObject comes from openObject");
  handle_ = std::move(state->handle);
  reused_ = std::move(state->reused);
}

bpf_object* BpfObject::Open() const {
  if (!handle_) ThrowClosed(Env(), "object");
  return handle_.get();
}

bpf_program* BpfObject::FindProgram(const Napi::Value& value) const {
  bpf_object* object = Open();
  const std::string name = arguments::ToString(value, "program");
  bpf_program* program = bpf_object__find_program_by_name(object, name.c_str());
  if (!program) ThrowErrno(Env(), "program " + name, ENOENT, "the object has no such program");
  return program;
}

Napi::Value BpfObject::Map(const Napi::CallbackInfo& info) {
  const bpf_object* object = Open();
  const std::string name = arguments::ToString(info[0], "name");
  if (const auto known = maps_.find(name); known != maps_.end()) return known->second.Value();

  const bpf_map* map = bpf_object__find_map_by_name(object, name.c_str());
  if (!map) ThrowErrno(info.Env(), "map " + name, ENOENT, "the object has no such map");
  Fd fd = Fd::Duplicate(bpf_map__fd(map));
  if (!fd.IsOpen()) ThrowErrno(info.Env(), "dup of map " + name, errno);
  const Napi::Object handle = BpfMap::New(info.Env(), std::move(fd), bpf_map__name(map), reused_.contains(name));
  maps_.emplace(name, Napi::Persistent(handle));
  return handle;
}

Napi::Value BpfObject::MapNames(const Napi::CallbackInfo& info) {
  const Napi::Array names = Napi::Array::New(info.Env());
  bpf_map* map;
  bpf_object__for_each_map(map, Open()) names.Set(names.Length(), Napi::String::New(info.Env(), bpf_map__name(map)));
  return names;
}

Napi::Value BpfObject::ProgramNames(const Napi::CallbackInfo& info) {
  const Napi::Array names = Napi::Array::New(info.Env());
  bpf_program* program;
  bpf_object__for_each_program(program, Open())
      names.Set(names.Length(), Napi::String::New(info.Env(), bpf_program__name(program)));
  return names;
}

Napi::Value BpfObject::ProgramFd(const Napi::CallbackInfo& info) {
  const bpf_program* program = FindProgram(info[0]);
  const int fd = bpf_program__fd(program);
  if (fd < 0) ThrowErrno(info.Env(), std::string("program ") + bpf_program__name(program), -fd, "it is not loaded");
  return Napi::Number::New(info.Env(), fd);
}

Napi::Value BpfObject::TestRun(const Napi::CallbackInfo& info) {
  const bpf_program* program = FindProgram(info[0]);
  return log_lines::Logged(info.Env(), [&] { return RunTest(program, info[1], info[2]); });
}

void BpfObject::Close(const Napi::CallbackInfo&) {
  for (auto& [name, reference] : maps_) BpfMap::Unwrap(reference.Value())->Close();
  maps_.clear();
  handle_.reset();
}
