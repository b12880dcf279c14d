// Rows as JSON, one object each, without loss: what dump prints and load reads.
//
//   {"table": "keys", "key": "acme/charge/42", "status": "completed", ...}
//
//   Key                  its written form
//   bytes                {"text": "..."} when they are UTF-8, else {"base64": "..."}
//   names and messages   a string when they are UTF-8, else {"base64": "..."}
//   times                milliseconds since the epoch, 0 = none; durations milliseconds
//   tokens, sequences    integers of 64 bits
//   digests, boot ids    hexadecimal digits
//   headers, metadata,   an object; an array of [name, value] when a name is not UTF-8
//   fields               left out when a record has none
//   holder               null when nobody is known
//
// Reading is strict: a member that is missing, unknown, named twice or of another type is an error
// that names it. Whether a row fits the others is for Loader and verify.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>

#include "once/row.h"

namespace once::tool {

// Keeps the order in which members are added.
using Json = nlohmann::ordered_json;

[[nodiscard]] Json to_json(const Row& row);

// The parts without "table", for what prints one kind of row only.
[[nodiscard]] Json to_json(const Key& key, const Record& record);
[[nodiscard]] Json to_json(const Event& event);
[[nodiscard]] Json to_json(const HistoryEntry& entry);
[[nodiscard]] Json to_json(const Outcome& outcome);

[[nodiscard]] Json bytes_json(ByteView bytes);
[[nodiscard]] Json text_json(ByteView text);

// One line of text, without the newline.
[[nodiscard]] std::string to_line(const Json& json);

// The last line of a dump: how many rows stand before it. A dump without it is cut off.
struct DumpEnd {
  std::uint64_t rows = 0;
};
[[nodiscard]] Json to_json(const DumpEnd& end);

// Reads what to_json() of a Row or of a DumpEnd wrote. Errors: invalid_argument, saying what is
// wrong with the text.
using DumpLine = std::variant<Row, DumpEnd>;
[[nodiscard]] Result<DumpLine> parse_line(std::string_view text);

}  // namespace once::tool
