// Bytes that no compression makes smaller.
#pragma once

#include <string>

namespace once::testing {

// From a generator of <random>.
template <class Random>
std::string random_bytes(Random& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

}  // namespace once::testing
