// Shared memory: section 5 of the protocol.
#pragma once

#include <cstddef>
#include <string>

#include "error.h"

// Region is a mapping of the host's file.
class Region {
 public:
  // Map opens, checks and maps the file, and answers the nonce. It throws with the reason for which it declines.
  static Region Map(const pb::OpenRegionRequest& request);

  Region(Region&& o) noexcept : data_(o.data_), size_(o.size_) { o.data_ = nullptr; }
  Region(const Region&) = delete;
  ~Region();

  // At is the place of a range that must have this length. It throws INVALID for one that is not within the region.
  char* At(const pb::SharedRange& range, size_t length) const;

 private:
  Region(char* data, size_t size) : data_(data), size_(size) {}
  char* data_;
  size_t size_;
};
