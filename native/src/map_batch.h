// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

// What is needed of a map to read and write its records. Sizes are those that user space sees.
struct MapShape {
  int fd = -1;
  std::string name;
  uint32_t type = 0;
  size_t key_size = 0;
  size_t value_size = 0;
  uint32_t max_entries = 0;
  bool read_by_batch = true;  // until the kernel says otherwise
};

// Many records by few system calls. Where the kernel has no batch for a map's type or for the flags, one record at a
// time. Functions return 0 or a negative errno; `tried` is then the libbpf call that failed.
namespace map_batch {

struct Outcome {
  int error = 0;
  const char* tried = "";
  uint32_t done = 0;  // records written, or deleted
};

Outcome Update(const MapShape& map, const uint8_t* keys, const uint8_t* values, uint32_t count, uint64_t flags);
// Absent keys are skipped.
Outcome Delete(const MapShape& map, const uint8_t* keys, uint32_t count);

struct Slice {
  int error = 0;
  const char* tried = "";
  uint32_t count = 0;
  std::unique_ptr<uint8_t[]> keys;
  std::unique_ptr<uint8_t[]> values;
  std::vector<uint8_t> cursor;  // empty: the end was reached
};

// About `limit` records behind `cursor` (empty: from the start). More where a bucket of a hash holds more.
Slice Read(MapShape& map, const std::vector<uint8_t>& cursor, uint32_t limit);

// Bytes of a cursor: the kernel wants at least 32 bits for a hash and a whole key elsewhere.
size_t CursorSize(const MapShape& map);

}  // namespace map_batch
