// Any bytes as an event: there is one encoding for each.
#include <cstddef>
#include <cstdint>

#include "check.h"
#include "model/event_codec.h"
#include "model/row_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  using namespace once::fuzz;
  const ByteView input = view(data, size);
  if (const auto event = model::decode_event(7, input)) {
    ONCE_CHECK(event->sequence == 7);
    ONCE_CHECK(model::encode_event(*event) == input);
    // Nothing but a delivered event is ever swept.
    if (model::may_remove(input, Time::max())) {
      ONCE_CHECK(event->status == EventStatus::delivered);
    }
  }
  return 0;
}
