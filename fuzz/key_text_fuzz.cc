// Any bytes as the written form of a key: what is read is written so that it reads the same.
#include <cstddef>
#include <cstdint>

#include "check.h"
#include "once/key.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  using namespace once::fuzz;
  const ByteView input = view(data, size);
  if (const auto key = Key::parse(input)) {
    ONCE_CHECK(key->validate().has_value());
    const std::string written = key->to_string();
    const auto again = Key::parse(written);
    ONCE_CHECK(again.has_value());
    ONCE_CHECK(*again == *key);
    ONCE_CHECK(again->to_string() == written);
  }
  // The same bytes as a part of a key: escaping is exact for all of them.
  const auto part = unescape(escape(input));
  ONCE_CHECK(part.has_value());
  ONCE_CHECK(*part == input);
  if (const auto bytes = unescape(input)) {
    ONCE_CHECK(unescape(escape(*bytes)).value() == *bytes);
  }
  return 0;
}
