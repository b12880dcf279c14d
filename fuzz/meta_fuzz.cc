// Any bytes as the store's own facts (the clock's mark, numbers): there is one encoding for each.
#include <cstddef>
#include <cstdint>

#include "check.h"
#include "model/meta.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  using namespace once::fuzz;
  const ByteView input = view(data, size);
  if (const auto mark = model::decode_clock_mark(input)) {
    ONCE_CHECK(input.size() == model::clock_mark_bytes);
    ONCE_CHECK(mark->since_boot >= Duration::zero());
    ONCE_CHECK(model::encode_clock_mark(*mark) == input);
  } else {
    ONCE_CHECK(mark.error().code == ErrorCode::damaged ||
               mark.error().code == ErrorCode::newer_format);
  }
  if (const auto number = model::decode_u64(input)) {
    ONCE_CHECK(model::encode_u64(*number) == input);
  } else {
    ONCE_CHECK(input.size() != 8);
    ONCE_CHECK(number.error().code == ErrorCode::damaged);
  }
  return 0;
}
