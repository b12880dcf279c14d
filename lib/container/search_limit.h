// What may be read in search of envelopes, frames and slots where anything can stand. Whoever has
// bytes stored can make them look like the beginnings of many large ones, and only the checksum at
// the end of each tells better: that many bytes times that many beginnings.
#pragma once

#include <cstdint>

namespace once::container {

class SearchLimit {
 public:
  // `capacity`: how many bytes are searched.
  explicit SearchLimit(std::uint64_t capacity) : left_(8 * capacity) {}
  // False: there has been enough. What was written for what it is does not overlap, and so does not
  // cost more than there are bytes.
  bool spend(std::uint64_t bytes) {
    const bool enough = bytes <= left_;
    left_ -= enough ? bytes : left_;
    return enough;
  }

 private:
  std::uint64_t left_;
};

}  // namespace once::container
