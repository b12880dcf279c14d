// Numbers in the one spelling of RFC 8785.
#include "keys/json_number.h"

#include <doctest/doctest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <random>
#include <utility>

namespace once::keys {
namespace {

TEST_CASE("RFC 8785, appendix B") {
  constexpr std::pair<std::uint64_t, std::string_view> table[] = {
      {0x0000000000000000, "0"},
      {0x8000000000000000, "0"},
      {0x0000000000000001, "5e-324"},
      {0x8000000000000001, "-5e-324"},
      {0x7fefffffffffffff, "1.7976931348623157e+308"},
      {0xffefffffffffffff, "-1.7976931348623157e+308"},
      {0x4340000000000000, "9007199254740992"},
      {0xc340000000000000, "-9007199254740992"},
      {0x4430000000000000, "295147905179352830000"},
      {0x44b52d02c7e14af5, "9.999999999999997e+22"},
      {0x44b52d02c7e14af6, "1e+23"},
      {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
      {0x444b1ae4d6e2ef4e, "999999999999999700000"},
      {0x444b1ae4d6e2ef4f, "999999999999999900000"},
      {0x444b1ae4d6e2ef50, "1e+21"},
      {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
      {0x3eb0c6f7a0b5ed8d, "0.000001"},
      {0x41b3de4355555553, "333333333.3333332"},
      {0x41b3de4355555554, "333333333.33333325"},
      {0x41b3de4355555555, "333333333.3333333"},
      {0x41b3de4355555556, "333333333.3333334"},
      {0x41b3de4355555557, "333333333.33333343"},
      {0xbecbf647612f3696, "-0.0000033333333333333333"},
      {0x43143ff3c1cb0959, "1424953923781206.2"},
  };
  for (const auto& [bits, text] : table) CHECK(spell_number(std::bit_cast<double>(bits)) == text);
}

TEST_CASE("every spelling reads back as the same number") {
  std::mt19937_64 random(11);
  for (int i = 0; i < 50000; ++i) {
    const auto number = std::bit_cast<double>(random());
    if (!std::isfinite(number)) continue;
    const std::string text = spell_number(number);
    double read = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), read);
    CHECK((code == std::errc{} && end == text.data() + text.size() && read == number));
  }
}

TEST_CASE("an integer is exact when a double has all its digits") {
  CHECK(is_exact("0", 0));
  CHECK(is_exact("-0", -0.0));
  CHECK(is_exact("9007199254740992", 9007199254740992.0));
  CHECK_FALSE(is_exact("9007199254740993", 9007199254740992.0));
  CHECK(is_exact("-100000000000000000000", -1e20));
  CHECK_FALSE(is_exact("100000000000000000000000", 1e23));
}

}  // namespace
}  // namespace once::keys
