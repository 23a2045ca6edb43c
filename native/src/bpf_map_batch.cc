// SPDX-License-Identifier: Apache-2.0
// The methods of a map that take or give many records.
#include <linux/bpf.h>

#include <string>
#include <vector>

#include "arguments.h"
#include "bpf_map.h"
#include "errors.h"

namespace {

constexpr uint32_t kDumpSlice = 4096;

Napi::Object RecordsObject(Napi::Env env, const MapShape& map, const uint8_t* keys, const uint8_t* values,
                           size_t count) {
  Napi::Object records = Napi::Object::New(env);
  records.Set("keys", arguments::NewBytes(env, keys, count * map.key_size));
  records.Set("values", arguments::NewBytes(env, values, count * map.value_size));
  records.Set("count", Napi::Number::New(env, static_cast<double>(count)));
  return records;
}

std::string Progress(uint32_t done, size_t count) {
  return "after " + std::to_string(done) + " of " + std::to_string(count) + " records";
}

}  // namespace

Napi::Value BpfMap::UpdateBatch(const Napi::CallbackInfo& info) {
  const MapShape& map = Open();
  const auto keys = arguments::ToBytes(info[0], "keys");
  const auto values = arguments::ToBytes(info[1], "values");
  const uint32_t flags = arguments::ToUint32Or(info[2], "flags", BPF_ANY);
  const size_t count = map.key_size ? keys.size() / map.key_size : 0;
  if (count > UINT32_MAX || keys.size() != count * map.key_size || values.size() != count * map.value_size)
    throw Napi::RangeError::New(info.Env(), "keys and values must hold the same number of records of " + map.name);

  const auto outcome = map_batch::Update(map, keys.data(), values.data(), static_cast<uint32_t>(count), flags);
  if (outcome.error)
    ThrowErrno(info.Env(), Tried(outcome.tried), outcome.error, Progress(outcome.done, count));
  return Napi::Number::New(info.Env(), outcome.done);
}

Napi::Value BpfMap::DeleteBatch(const Napi::CallbackInfo& info) {
  const MapShape& map = Open();
  const auto keys = arguments::ToBytes(info[0], "keys");
  const size_t count = map.key_size ? keys.size() / map.key_size : 0;
  if (count > UINT32_MAX || keys.size() != count * map.key_size)
    throw Napi::RangeError::New(info.Env(), "keys must hold whole keys of " + map.name);

  const auto outcome = map_batch::Delete(map, keys.data(), static_cast<uint32_t>(count));
  if (outcome.error)
    ThrowErrno(info.Env(), Tried(outcome.tried), outcome.error, Progress(outcome.done, count));
  return Napi::Number::New(info.Env(), outcome.done);
}

Napi::Value BpfMap::ReadBatch(const Napi::CallbackInfo& info) {
  MapShape& map = Open();
  std::vector<uint8_t> cursor;
  if (!arguments::IsNone(info[0])) {
    const auto bytes = arguments::ToBytes(info[0], "cursor", map_batch::CursorSize(map));
    cursor.assign(bytes.begin(), bytes.end());
  }
  const auto slice = map_batch::Read(map, cursor, arguments::ToUint32(info[1], "limit"));
  if (slice.error) ThrowErrno(info.Env(), Tried(slice.tried), slice.error);
  Napi::Object records = RecordsObject(info.Env(), map, slice.keys.get(), slice.values.get(), slice.count);
  if (slice.cursor.empty())
    records.Set("cursor", info.Env().Null());
  else
    records.Set("cursor", arguments::NewBytes(info.Env(), slice.cursor.data(), slice.cursor.size()));
  return records;
}

Napi::Value BpfMap::Dump(const Napi::CallbackInfo& info) {
  MapShape& map = Open();
  std::vector<uint8_t> keys;
  std::vector<uint8_t> values;
  std::vector<uint8_t> cursor;
  size_t count = 0;
  do {
    const auto slice = map_batch::Read(map, cursor, kDumpSlice);
    if (slice.error) ThrowErrno(info.Env(), Tried(slice.tried), slice.error);
    keys.insert(keys.end(), slice.keys.get(), slice.keys.get() + slice.count * map.key_size);
    values.insert(values.end(), slice.values.get(), slice.values.get() + slice.count * map.value_size);
    count += slice.count;
    cursor = slice.cursor;
  } while (!cursor.empty());
  return RecordsObject(info.Env(), map, keys.data(), values.data(), count);
}
