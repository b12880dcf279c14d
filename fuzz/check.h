// What fuzz targets check with: a promise that is not kept ends the program, so that the fuzzer
// keeps the input that broke it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "once/bytes.h"

#define ONCE_CHECK(promise)                                                        \
  do {                                                                             \
    if (!(promise)) {                                                              \
      std::fprintf(stderr, "%s:%d: not kept: %s\n", __FILE__, __LINE__, #promise); \
      std::abort();                                                                \
    }                                                                              \
  } while (false)

namespace once::fuzz {

inline ByteView view(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace once::fuzz
