// Any bytes as an event: there is one encoding for each, and it can be sent as JSON on one line.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "check.h"
#include "model/event_codec.h"
#include "model/row_header.h"
#include "outbox/cloud_event.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  using namespace once::fuzz;
  const ByteView input = view(data, size);
  if (const auto event = model::decode_event(7, input)) {
    ONCE_CHECK(event->sequence == 7);
    ONCE_CHECK(model::encode_event(*event) == input);
    const std::string line = outbox::to_json(*event, "/once");
    ONCE_CHECK(nlohmann::json::accept(line));
    ONCE_CHECK(line.find('\n') == std::string::npos);
    // Nothing but a delivered event is ever swept.
    if (model::may_remove(input, Time::max())) {
      ONCE_CHECK(event->status == EventStatus::delivered);
    }
  }
  return 0;
}
