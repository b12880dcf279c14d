// Text on its way to people and into JSON: times, bytes as hexadecimal or base64, and what may not
// be sent to a terminal as it is.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "once/bytes.h"
#include "once/clock.h"

namespace once::tool {

// ISO 8601 in UTC with milliseconds, "2026-11-21T21:29:51.123Z". "-" for 0, which stands for no
// time, and "never" from the year 10000 on, which is where retention without an end leads.
[[nodiscard]] std::string format_time(Time time);

// Shows control characters and what is not UTF-8 as \xNN, so that stored bytes cannot steer a
// terminal. `keep_newlines` is for messages that have several lines.
[[nodiscard]] std::string printable(ByteView bytes, bool keep_newlines = false);
// The same, of at most `limit` bytes of the input, with "..." when there is more.
[[nodiscard]] std::string preview(ByteView bytes, std::size_t limit);

[[nodiscard]] std::string to_hex(std::span<const std::uint8_t> bytes);
// Fills `bytes` from exactly two digits each. False, and nothing changed, for anything else.
[[nodiscard]] bool from_hex(std::string_view text, std::span<std::uint8_t> bytes);

// RFC 4648, section 4, with padding. Decoding takes only what encoding gives.
[[nodiscard]] std::string to_base64(ByteView bytes);
[[nodiscard]] std::optional<Bytes> from_base64(std::string_view text);

// `word` as a shell reads it: as it is where nothing in it means something there, else in quotes.
[[nodiscard]] std::string shell_word(std::string_view word);
// Words that are no options, to be put last on a command line: behind -- if one looks like an
// option.
[[nodiscard]] std::string shell_operands(std::initializer_list<std::string_view> words);

}  // namespace once::tool
