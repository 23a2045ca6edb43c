// SPDX-License-Identifier: Apache-2.0
#include "map_batch.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>

namespace map_batch {
namespace {

constexpr int kNotSupported = 524;             // ENOTSUPP: the type has no such batch operation
constexpr uint64_t kBatchFlags = BPF_F_LOCK;  // all that the kernel's generic batch update accepts

bool LacksBatch(int error) { return error == -kNotSupported || error == -EOPNOTSUPP; }

bool IsMapInMap(uint32_t type) { return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS; }

// An early refusal leaves the count as it was asked for, and a failure cannot have done everything.
uint32_t DoneBeforeFailure(uint32_t reported, uint32_t asked) { return reported < asked ? reported : 0; }

Outcome UpdateOneByOne(const MapShape& map, const uint8_t* keys, const uint8_t* values, uint32_t count,
                       uint64_t flags) {
  for (uint32_t i = 0; i < count; i++)
    if (const int error = bpf_map_update_elem(map.fd, keys + i * map.key_size, values + i * map.value_size, flags))
      return {error, "bpf_map_update_elem", i};
  return {0, "", count};
}

Outcome DeleteOneByOne(const MapShape& map, const uint8_t* keys, uint32_t count) {
  Outcome outcome;
  for (uint32_t i = 0; i < count; i++) {
    const int error = bpf_map_delete_elem(map.fd, keys + i * map.key_size);
    if (error && error != -ENOENT) return {error, "bpf_map_delete_elem", outcome.done};
    outcome.done += error == 0;
  }
  return outcome;
}

Slice NewSlice(const MapShape& map, uint32_t limit) {
  Slice slice;
  slice.keys = std::make_unique_for_overwrite<uint8_t[]>(limit * map.key_size);
  slice.values = std::make_unique_for_overwrite<uint8_t[]>(limit * map.value_size);
  return slice;
}

Slice ReadOneByOne(const MapShape& map, const std::vector<uint8_t>& cursor, uint32_t limit) {
  Slice slice = NewSlice(map, limit);
  std::vector<uint8_t> last(cursor);
  std::vector<uint8_t> next(map.key_size);
  while (slice.count < limit) {
    int error = bpf_map_get_next_key(map.fd, last.empty() ? nullptr : last.data(), next.data());
    if (error == -ENOENT) return slice;
    if (error) {
      slice.error = error;
      slice.tried = "bpf_map_get_next_key";
      return slice;
    }
    last = next;
    error = bpf_map_lookup_elem(map.fd, next.data(), slice.values.get() + slice.count * map.value_size);
    if (error == -ENOENT) continue;  // gone meanwhile, or an empty place of a map of maps
    if (error) {
      slice.error = error;
      slice.tried = "bpf_map_lookup_elem";
      return slice;
    }
    std::copy(next.begin(), next.end(), slice.keys.get() + slice.count * map.key_size);
    slice.count++;
  }
  slice.cursor = last;
  slice.cursor.resize(CursorSize(map));
  return slice;
}

Slice ReadByBatch(const MapShape& map, const std::vector<uint8_t>& cursor, uint32_t limit) {
  std::vector<uint8_t> from(cursor);
  std::vector<uint8_t> to(CursorSize(map));
  LIBBPF_OPTS(bpf_map_batch_opts, options);
  for (;;) {
    Slice slice = NewSlice(map, limit);
    slice.count = limit;
    const int error = bpf_map_lookup_batch(map.fd, from.empty() ? nullptr : from.data(), to.data(), slice.keys.get(),
                                           slice.values.get(), &slice.count, &options);
    if (error == 0) slice.cursor = to;
    if (error == 0 || error == -ENOENT) return slice;
    if (error == -ENOSPC && limit <= UINT32_MAX / 2) {  // the next bucket holds more than `limit` records
      limit *= 2;
      continue;
    }
    slice.error = error;
    slice.tried = "bpf_map_lookup_batch";
    return slice;
  }
}

}  // namespace

size_t CursorSize(const MapShape& map) { return std::max<size_t>(map.key_size, sizeof(uint32_t)); }

Outcome Update(const MapShape& map, const uint8_t* keys, const uint8_t* values, uint32_t count, uint64_t flags) {
  if (count == 0) return {};
  if (flags & ~kBatchFlags) return UpdateOneByOne(map, keys, values, count, flags);
  LIBBPF_OPTS(bpf_map_batch_opts, options, .elem_flags = flags);
  uint32_t done = count;
  const int error = bpf_map_update_batch(map.fd, keys, values, &done, &options);
  if (error == 0) return {0, "", done};
  if (LacksBatch(error)) return UpdateOneByOne(map, keys, values, count, flags);
  return {error, "bpf_map_update_batch", DoneBeforeFailure(done, count)};
}

Outcome Delete(const MapShape& map, const uint8_t* keys, uint32_t count) {
  LIBBPF_OPTS(bpf_map_batch_opts, options);
  Outcome outcome;
  uint32_t at = 0;
  while (at < count) {
    uint32_t gone = count - at;
    const int error = bpf_map_delete_batch(map.fd, keys + at * map.key_size, &gone, &options);
    if (LacksBatch(error)) {
      Outcome rest = DeleteOneByOne(map, keys + at * map.key_size, count - at);
      rest.done += outcome.done;
      return rest;
    }
    if (error != 0) gone = DoneBeforeFailure(gone, count - at);
    outcome.done += gone;
    if (error == 0) return outcome;
    if (error != -ENOENT) return {error, "bpf_map_delete_batch", outcome.done};
    at += gone + 1;  // the kernel stops at an absent key
  }
  return outcome;
}

Slice Read(MapShape& map, const std::vector<uint8_t>& cursor, uint32_t limit) {
  limit = std::clamp<uint32_t>(limit, 1, std::max<uint32_t>(map.max_entries, 1));
  // The generic batch read gives up (EINTR) at empty places of a map of maps.
  if (IsMapInMap(map.type)) map.read_by_batch = false;
  if (map.read_by_batch) {
    Slice slice = ReadByBatch(map, cursor, limit);
    if (!LacksBatch(slice.error)) return slice;
    map.read_by_batch = false;
  }
  return ReadOneByOne(map, cursor, limit);
}

}  // namespace map_batch
