#include "duration.h"

#include <array>
#include <charconv>
#include <cstdint>

#include "base/error.h"

namespace once::tool {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t milliseconds;
};
constexpr std::array<Unit, 5> units{
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  if (text == "forever") return forever;
  std::int64_t count = 0;
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, count);
  const std::string_view name(stop, static_cast<std::size_t>(end - stop));
  if (code == std::errc::result_out_of_range) {
    return fail(ErrorCode::invalid_argument, "the duration '{}' is too long; write 'forever'",
                text);
  }
  if (code == std::errc{} && count >= 0) {
    for (const Unit& unit : units) {
      if (name != unit.name) continue;
      if (count >= Duration::max().count() / unit.milliseconds) {
        return fail(ErrorCode::invalid_argument, "the duration '{}' is too long; write 'forever'",
                    text);
      }
      return Duration(count * unit.milliseconds);
    }
  }
  return fail(ErrorCode::invalid_argument,
              "'{}' is no duration; write a whole number and a unit, as in 250ms, 30s, 5m, 24h or "
              "7d, or 'forever'",
              text);
}

Result<void> take_duration(std::string_view option, std::string_view text, Duration& duration,
                           Duration least) {
  auto parsed = parse_duration(text);
  if (!parsed) {
    return fail(ErrorCode::invalid_argument, "{}: {}", option, parsed.error().message);
  }
  if (*parsed < least) {
    return fail(ErrorCode::invalid_argument, "{}: {} is too short; give {} or more", option, text,
                short_duration(least));
  }
  duration = *parsed;
  return {};
}

std::string short_duration(Duration duration) {
  if (duration == forever) return "forever";
  if (duration < Duration::zero()) duration = Duration::zero();
  for (const Unit& unit : units) {
    if (duration.count() >= unit.milliseconds) {
      return fmt::format("{}{}", duration.count() / unit.milliseconds, unit.name);
    }
  }
  return "0s";
}

}  // namespace once::tool
