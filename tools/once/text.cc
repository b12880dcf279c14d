#include "text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

namespace once::tool {
namespace {

// C0 controls, DEL, and the C1 controls U+0080 to U+009F, which some terminals obey too.
bool is_control(ByteView character) {
  const auto first = static_cast<std::uint8_t>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7f;
  return first == 0xc2 && static_cast<std::uint8_t>(character[1]) < 0xa0;
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string format_time(Time time) {
  using namespace std::chrono;
  if (time == Time{}) return "-";
  constexpr Time first = sys_days(year(-9999) / 1 / 1);
  constexpr Time end = sys_days(year(10000) / 1 / 1);
  if (time >= end) return "never";
  if (time < first) return "-";
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

std::string printable(ByteView bytes, bool keep_newlines) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t length = std::max<std::size_t>(utf8_length(bytes), 1);
    const ByteView character = bytes.substr(0, length);
    const bool shown =
        utf8_length(bytes) != 0 && (!is_control(character) || (keep_newlines && bytes[0] == '\n'));
    if (shown) {
      text.append(character);
    } else {
      for (const char c : character) {
        text += fmt::format("\\x{:02x}", static_cast<std::uint8_t>(c));
      }
    }
    bytes.remove_prefix(length);
  }
  return text;
}

std::string preview(ByteView bytes, std::size_t limit) {
  if (bytes.size() <= limit) return printable(bytes);
  // Not in the middle of a character: back to where one begins.
  std::size_t end = limit;
  while (end > 0 && end + 4 > limit && (static_cast<std::uint8_t>(bytes[end]) & 0xc0) == 0x80) {
    --end;
  }
  return printable(bytes.substr(0, end)) + "...";
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

bool from_hex(std::string_view text, std::span<std::uint8_t> bytes) {
  if (text.size() != 2 * bytes.size()) return false;
  std::vector<std::uint8_t> read(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int high = digit(text[2 * i]);
    const int low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    read[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  std::ranges::copy(read, bytes.begin());
  return true;
}

std::string to_base64(ByteView bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t here = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      bits = bits << 8 | (j < here ? static_cast<std::uint8_t>(bytes[i + j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text += j <= here ? base64_digits[bits >> (18 - 6 * j) & 63] : '=';
    }
  }
  return text;
}

std::optional<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  static const auto values = [] {
    std::array<int, 256> table{};
    table.fill(-1);
    for (std::size_t i = 0; i < base64_digits.size(); ++i) {
      table[static_cast<std::uint8_t>(base64_digits[i])] = static_cast<int>(i);
    }
    return table;
  }();
  Bytes bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::size_t digits = 4;
    if (i + 4 == text.size()) {
      while (digits > 2 && text[i + digits - 1] == '=') --digits;
    }
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const int value = j < digits ? values[static_cast<std::uint8_t>(text[i + j])] : 0;
      if (value < 0) return std::nullopt;
      bits = bits << 6 | static_cast<std::uint32_t>(value);
    }
    for (std::size_t j = 0; j < digits - 1; ++j) {
      bytes += static_cast<char>(static_cast<std::uint8_t>(bits >> (16 - 8 * j)));
    }
    // Bits that padding cuts off must be zero, or two texts would stand for the same bytes.
    if (digits < 4 && (bits & ((1u << (8 * (4 - digits))) - 1)) != 0) return std::nullopt;
  }
  return bytes;
}

std::string shell_word(std::string_view word) {
  constexpr std::string_view plain = "%+,-./:=@_";
  const bool needs_none = !word.empty() && std::ranges::all_of(word, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           plain.contains(c);
  });
  if (needs_none) return std::string(word);
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string shell_operands(std::initializer_list<std::string_view> words) {
  const bool dashes =
      std::ranges::any_of(words, [](std::string_view word) { return word.starts_with('-'); });
  std::string text = dashes ? "--" : "";
  for (const std::string_view word : words) {
    if (!text.empty()) text += ' ';
    text += shell_word(word);
  }
  return text;
}

}  // namespace once::tool
