// Any bytes as the store's own facts (the clock's mark, numbers, tallies with their names): there
// is one encoding for each.
#include <algorithm>
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
  // A tally has so many bytes; what is before it is its name.
  const std::size_t split = input.size() - std::min(input.size(), model::tally_bytes);
  if (const auto label = model::decode_tally(input.substr(0, split), input.substr(split))) {
    ONCE_CHECK(model::encode_tally_name(*label) == input.substr(0, split));
    ONCE_CHECK(model::encode_tally(label->tally) == input.substr(split));
  } else {
    ONCE_CHECK(label.error().code == ErrorCode::damaged ||
               label.error().code == ErrorCode::newer_format);
  }
  return 0;
}
