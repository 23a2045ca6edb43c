// SPDX-License-Identifier: Apache-2.0
#include "object_options.h"

#include <bpf/btf.h>
#include <linux/bpf.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "arguments.h"
#include "errors.h"

namespace {

struct Symbol {
  std::string section;
  uint32_t offset;
  uint32_t size;
};

// Where a `const volatile` global lies, as the object's BTF says.
std::optional<Symbol> FindConstant(const bpf_object* object, const std::string& name) {
  const btf* types = bpf_object__btf(object);
  const uint32_t count = types ? btf__type_cnt(types) : 0;
  for (uint32_t id = 1; id < count; id++) {
    const btf_type* section = btf__type_by_id(types, id);
    if (!btf_is_datasec(section)) continue;
    const std::string section_name = btf__name_by_offset(types, section->name_off);
    if (!section_name.starts_with(".rodata")) continue;
    const btf_var_secinfo* variable = btf_var_secinfos(section);
    for (int i = 0; i < btf_vlen(section); i++, variable++)
      if (name == btf__name_by_offset(types, btf__type_by_id(types, variable->type)->name_off))
        return Symbol{section_name, variable->offset, variable->size};
  }
  return std::nullopt;
}

void SetMaxEntries(Napi::Env env, bpf_object* object, const std::string& name, uint32_t entries) {
  bpf_map* map = bpf_object__find_map_by_name(object, name.c_str());
  if (!map) ThrowErrno(env, "max_entries of map " + name, ENOENT, "the object has no such map");
  if (const int error = bpf_map__set_max_entries(map, entries))
    ThrowErrno(env, "bpf_map__set_max_entries " + name, error);
}

void SetConstant(Napi::Env env, bpf_object* object, const std::string& name, arguments::Bytes value) {
  const auto symbol = FindConstant(object, name);
  if (!symbol) ThrowErrno(env, "constant " + name, ENOENT, "the object has no such `const volatile` global");
  if (value.size() != symbol->size)
    ThrowErrno(env, "constant " + name, EINVAL,
               "it takes " + std::to_string(symbol->size) + " bytes, not " + std::to_string(value.size()));
  bpf_map* map = bpf_object__find_map_by_name(object, symbol->section.c_str());
  size_t size = 0;
  auto* data = map ? static_cast<uint8_t*>(const_cast<void*>(bpf_map__initial_value(map, &size))) : nullptr;
  if (!data || symbol->offset + value.size() > size)
    ThrowErrno(env, "constant " + name, EINVAL, "its section has no initial value");
  std::memcpy(data + symbol->offset, value.data(), value.size());
}

void SetXdpFrags(Napi::Env env, bpf_object* object) {
  bpf_program* program;
  bpf_object__for_each_program(program, object) {
    if (bpf_program__type(program) != BPF_PROG_TYPE_XDP) continue;
    if (const int error = bpf_program__set_flags(program, bpf_program__flags(program) | BPF_F_XDP_HAS_FRAGS))
      ThrowErrno(env, std::string("bpf_program__set_flags ") + bpf_program__name(program), error);
  }
}

// The verifier's work is most of what a load takes.
void LeaveOutPrograms(Napi::Env env, bpf_object* object) {
  bpf_program* program;
  bpf_object__for_each_program(program, object)
    if (const int error = bpf_program__set_autoload(program, false))
      ThrowErrno(env, std::string("bpf_program__set_autoload ") + bpf_program__name(program), error);
}

template <typename Each>
void ForEachProperty(const Napi::Object& options, const char* name, Each each) {
  const Napi::Value value = options.Get(name);
  if (arguments::IsNone(value)) return;
  const Napi::Object object = arguments::ToObject(value, name);
  const Napi::Array keys = object.GetPropertyNames();
  for (uint32_t i = 0; i < keys.Length(); i++) {
    const Napi::HandleScope scope(options.Env());
    const Napi::Value key = keys.Get(i);
    each(key.As<Napi::String>().Utf8Value(), object.Get(key));
  }
}

}  // namespace

void ApplyOptions(Napi::Env env, bpf_object* object, const Napi::Object& options) {
  ForEachProperty(options, "maxEntries", [&](const std::string& name, const Napi::Value& value) {
    SetMaxEntries(env, object, name, arguments::ToUint32(value, name.c_str()));
  });
  ForEachProperty(options, "constants", [&](const std::string& name, const Napi::Value& value) {
    SetConstant(env, object, name, arguments::ToBytes(value, name.c_str()));
  });
  if (options.Get("xdpFrags").ToBoolean()) SetXdpFrags(env, object);
  if (options.Get("mapsOnly").ToBoolean()) LeaveOutPrograms(env, object);
}
