// SPDX-License-Identifier: Apache-2.0
#include "object_pins.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <cerrno>

#include "errors.h"
#include "fd.h"
#include "pinned.h"

namespace {

// Set by the kernel itself on device maps.
uint32_t ComparableFlags(uint32_t type, uint32_t flags) {
  const bool is_devmap = type == BPF_MAP_TYPE_DEVMAP || type == BPF_MAP_TYPE_DEVMAP_HASH;
  return is_devmap ? flags & ~static_cast<uint32_t>(BPF_F_RDONLY_PROG) : flags;
}

// The first thing in which a pinned map cannot stand for the object's own; empty if it can.
std::string DifferenceOf(const bpf_map_info& pinned, const bpf_map* map) {
  const auto differ = [](const char* what, uint32_t is, uint32_t wanted) {
    return std::string(what) + " is " + std::to_string(is) + ", the object wants " + std::to_string(wanted);
  };
  if (pinned.type != bpf_map__type(map)) return differ("type", pinned.type, bpf_map__type(map));
  if (pinned.key_size != bpf_map__key_size(map)) return differ("key size", pinned.key_size, bpf_map__key_size(map));
  if (pinned.value_size != bpf_map__value_size(map))
    return differ("value size", pinned.value_size, bpf_map__value_size(map));
  const uint32_t flags = ComparableFlags(pinned.type, pinned.map_flags);
  if (flags != bpf_map__map_flags(map)) return differ("flags", flags, bpf_map__map_flags(map));
  return "";
}

}  // namespace

ObjectPins::ObjectPins(Napi::Env env, bpf_object* object, std::string directory, std::set<std::string> unpinned)
    : env_(env), object_(object), directory_(std::move(directory)), unpinned_(std::move(unpinned)) {}

ObjectPins::~ObjectPins() {
  for (const std::string& path : pinned_) unlink(path.c_str());
}

bool ObjectPins::IsPinned(const bpf_map* map) const {
  return !bpf_map__is_internal(map) && !unpinned_.contains(bpf_map__name(map));
}

void ObjectPins::Reuse() {
  bpf_map* map;
  bpf_object__for_each_map(map, object_) {
    if (!IsPinned(map)) continue;
    const std::string name = bpf_map__name(map);
    const std::string path = PathOf(map);
    const Fd fd(bpf_obj_get(path.c_str()));
    if (!fd.IsOpen()) {
      if (errno == ENOENT) continue;
      ThrowErrno(env_, "bpf_obj_get " + path, errno);
    }
    if (!IsMap(fd.Get())) ThrowErrno(env_, "reuse of pinned map " + name, EEXIST, path + " is no map");

    bpf_map_info info{};
    uint32_t size = sizeof(info);
    if (const int error = bpf_obj_get_info_by_fd(fd.Get(), &info, &size))
      ThrowErrno(env_, "bpf_obj_get_info_by_fd " + path, error);
    if (const std::string difference = DifferenceOf(info, map); !difference.empty())
      ThrowErrno(env_, "reuse of pinned map " + name, EEXIST, path + ": its " + difference);
    if (const int error = bpf_map__reuse_fd(map, fd.Get())) ThrowErrno(env_, "bpf_map__reuse_fd " + name, error);
    reused_.insert(name);
  }
}

void ObjectPins::PinNew() {
  bpf_map* map;
  bpf_object__for_each_map(map, object_) {
    if (!IsPinned(map) || reused_.contains(bpf_map__name(map))) continue;
    const std::string path = PathOf(map);
    if (const int error = bpf_obj_pin(bpf_map__fd(map), path.c_str())) ThrowErrno(env_, "bpf_obj_pin " + path, error);
    pinned_.push_back(path);
  }
}
