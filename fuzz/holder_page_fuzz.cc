// Any bytes as the page that says who has a file open: a line of text that can be printed, and a
// place that there is, whatever stands there.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "check.h"
#include "container/host_holder.h"
#include "container/pins.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  using namespace once::fuzz;
  const ByteView input = view(data, size);
  const std::string text =
      container::decode_holder_text(input.substr(0, container::holder_text_bytes));
  ONCE_CHECK(!text.empty() && text.size() <= container::holder_text_bytes);
  const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  ONCE_CHECK(std::ranges::all_of(text, printable));
  ONCE_CHECK(container::encode_holder_text(input).size() == container::holder_text_bytes);
  const std::uint32_t place = container::decode_published_place(input);
  ONCE_CHECK(place < container::pin_slots);
  if (place != 0) {
    ONCE_CHECK(container::encode_published_place(place) ==
               input.substr(0, container::published_place_bytes));
  }
  return 0;
}
