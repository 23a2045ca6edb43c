// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <bpf/libbpf.h>

#include <set>
#include <string>
#include <vector>

// The pins of one object's maps in a bpffs directory: Reuse before the load, PinNew after it. What PinNew has pinned
// is unpinned again by the destructor unless Keep was called, so a failure leaves no half of an object behind.
class ObjectPins {
 public:
  // Maps of sections (.rodata and the like) and those in `unpinned` stay out.
  ObjectPins(Napi::Env env, bpf_object* object, std::string directory, std::set<std::string> unpinned);
  ~ObjectPins();
  ObjectPins(const ObjectPins&) = delete;
  ObjectPins& operator=(const ObjectPins&) = delete;

  // Puts the pinned maps in place of the object's own. Throws EEXIST, with the map and the difference, when one
  // cannot serve. A pinned map of another max_entries does, and keeps its size.
  void Reuse();
  void PinNew();
  void Keep() { pinned_.clear(); }
  const std::set<std::string>& Reused() const { return reused_; }

 private:
  bool IsPinned(const bpf_map* map) const;
  std::string PathOf(const bpf_map* map) const { return directory_ + "/" + bpf_map__name(map); }

  Napi::Env env_;
  bpf_object* object_;
  std::string directory_;
  std::set<std::string> unpinned_;
  std::set<std::string> reused_;
  std::vector<std::string> pinned_;
};
