// Events as CloudEvents 1.0; include/once/webhook.h tells how they are mapped.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "once/event.h"

namespace once::outbox {

struct CloudEvent {
  enum class Data : std::uint8_t { none, json, text, binary };

  // Context attributes and extensions, in the order in which they are written; none is empty.
  std::vector<std::pair<std::string, std::string>> attributes{};
  std::string content_type{};  // of the data; empty: there is none
  Data data = Data::none;
};

// All but the payload itself.
[[nodiscard]] CloudEvent to_cloud_event(const Event& event, const std::string& source);

// The JSON format, on one line, without its end.
[[nodiscard]] std::string to_json(const Event& event, const std::string& source);

// As the HTTP binding has it: space, '"', '%' and all that is not printable ASCII as %XX.
[[nodiscard]] std::string header_value(std::string_view text);

[[nodiscard]] std::string base64(ByteView bytes);

}  // namespace once::outbox
