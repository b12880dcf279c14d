#include "keys/json_number.h"

#include <charconv>

namespace once::keys {
namespace {

// The longest double written in full has 309 digits, a sign before them.
constexpr std::size_t longest = 320;

// The shortest decimal digits of a positive double, and where the point stands: the value is
// 0.DIGITS times 10 to the power of `point`.
struct Decimal {
  std::string digits;
  int point = 0;
};

Decimal shortest_decimal(double number) {
  char text[32];
  const char* end =
      std::to_chars(text, text + sizeof text, number, std::chars_format::scientific).ptr;
  // D.DDDDe+XX, or De+XX
  const std::string_view written(text, end);
  const std::size_t e = written.find('e');
  Decimal decimal;
  for (const char c : written.substr(0, e)) {
    if (c != '.') decimal.digits += c;
  }
  const bool negative = written[e + 1] == '-';
  int exponent = 0;
  std::from_chars(text + e + 2, end, exponent);
  decimal.point = (negative ? -exponent : exponent) + 1;
  return decimal;
}

}  // namespace

// Number::toString, ECMA-262, with its names: k digits, and n where the point stands.
std::string spell_number(double number) {
  if (number == 0) return "0";
  if (number < 0) return "-" + spell_number(-number);
  const auto [digits, n] = shortest_decimal(number);
  const int k = static_cast<int>(digits.size());
  const auto before = static_cast<std::size_t>(n > 0 ? n : 0);
  if (k <= n && n <= 21) return digits + std::string(static_cast<std::size_t>(n - k), '0');
  if (0 < n && n <= 21) return digits.substr(0, before) + "." + digits.substr(before);
  if (-6 < n && n <= 0) return "0." + std::string(static_cast<std::size_t>(-n), '0') + digits;
  const int exponent = n - 1;
  std::string text = digits.substr(0, 1);
  if (k > 1) text += "." + digits.substr(1);
  text += exponent < 0 ? "e-" : "e+";
  return text + std::to_string(exponent < 0 ? -exponent : exponent);
}

bool is_exact(std::string_view literal, double number) {
  if (number == 0) return true;
  char text[longest];
  const auto [end, code] =
      std::to_chars(text, text + sizeof text, number, std::chars_format::fixed, 0);
  return code == std::errc{} && std::string_view(text, end) == literal;
}

}  // namespace once::keys
