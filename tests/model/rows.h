// What the tests of codecs share: random values, bytes as hexadecimal text, and the two things that
// every decoder promises of hostile bytes.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/coding.h"
#include "once/holder.h"
#include "once/key.h"
#include "once/record.h"

namespace once::testing {

inline std::string to_hex(ByteView bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += digits[static_cast<std::uint8_t>(c) >> 4];
    text += digits[static_cast<std::uint8_t>(c) & 0x0f];
  }
  return text;
}

// Same seed, same values: a failure can be repeated.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t below(std::uint64_t end) { return engine_() % end; }
  bool coin() { return below(2) == 1; }
  std::uint64_t u64() { return engine_() >> below(64); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(u64()); }
  Time time() { return Time(Duration(static_cast<std::int64_t>(u64() >> 1))); }
  Duration duration() { return Duration(static_cast<std::int64_t>(u64() >> 1)); }
  // Bytes that are special to some encoding come often.
  Bytes bytes(std::size_t longest, std::size_t shortest = 0) {
    constexpr char alphabet[] = {'\x00', '\x01', '\xfe', '\xff', 'a'};
    Bytes bytes(shortest + below(longest - shortest + 1), 'a');
    for (char& c : bytes) c = alphabet[below(sizeof alphabet)];
    return bytes;
  }
  Key key(std::size_t longest) {
    const Bytes tenant = bytes(longest);
    const Bytes operation = bytes(longest);
    return Key(tenant, operation, bytes(longest, 1));
  }
  Fingerprint fingerprint() {
    Fingerprint fingerprint;
    for (auto& byte : fingerprint.digest) byte = static_cast<std::uint8_t>(below(256));
    return fingerprint;
  }
  Holder holder() {
    Holder holder;
    for (auto& byte : holder.boot) byte = static_cast<std::uint8_t>(below(256));
    holder.pid_namespace = u64();
    holder.pid = u32();
    holder.start_time = u64();
    return holder;
  }
  // One of the enumerators 1 to `last`.
  template <class Enum>
  Enum one_of(Enum last) {
    return static_cast<Enum>(1 + below(static_cast<std::uint64_t>(last)));
  }

 private:
  std::mt19937_64 engine_;
};

// A holder with a different value in every field, as the golden rows have it.
inline Holder golden_holder() {
  Holder holder;
  for (std::size_t i = 0; i < holder.boot.size(); ++i) {
    holder.boot[i] = static_cast<std::uint8_t>(0x10 + i);
  }
  holder.pid_namespace = 0x0102030405060708;
  holder.pid = 4242;
  holder.start_time = 99;
  return holder;
}

// Every truncation of `row` is damage, and so is a byte too many; every row that differs in one
// byte gives an error, or a value that is written as just that row. `decode` gives a Result,
// `encode` takes its value (and the row, for what is not part of the value).
template <class Decode, class Encode>
void check_hostile(const Bytes& row, Decode decode, Encode encode) {
  const auto whole = decode(ByteView(row));
  REQUIRE(whole.has_value());
  CHECK(encode(*whole, ByteView(row)) == row);
  for (std::size_t size = 0; size < row.size(); ++size) {
    CAPTURE(size);
    // A copy of its own size, so that the address sanitizer sees a read past the end.
    const std::vector<char> cut(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(size));
    const auto decoded = decode(ByteView(cut.data(), cut.size()));
    REQUIRE_FALSE(decoded.has_value());
    CHECK(decoded.error().code == ErrorCode::damaged);
  }
  CHECK_FALSE(decode(ByteView(row + '\0')).has_value());
  for (std::size_t at = 0; at < row.size(); ++at) {
    for (int mask = 1; mask < 256; ++mask) {
      Bytes changed = row;
      changed[at] = static_cast<char>(static_cast<std::uint8_t>(changed[at]) ^ mask);
      const auto decoded = decode(ByteView(changed));
      if (decoded.has_value() && encode(*decoded, ByteView(changed)) != changed) {
        CAPTURE(at);
        CAPTURE(mask);
        FAIL("a changed row was read as a value that is written in another way");
      }
    }
  }
}

// Rows of a later layout are told apart from damaged ones, whatever comes after the version.
template <class Decode>
void check_versions(Bytes row, Decode decode, int newest = 1) {
  row[0] = static_cast<char>(newest + 1);
  const auto newer = decode(ByteView(row));
  REQUIRE_FALSE(newer.has_value());
  CHECK(newer.error().code == ErrorCode::newer_format);
  row += "more";
  CHECK(decode(ByteView(row)).error().code == ErrorCode::newer_format);
  row[0] = 0;
  CHECK(decode(ByteView(row)).error().code == ErrorCode::damaged);
}

// `row` with the byte at `at` set to `byte` is damage.
template <class Decode>
void check_damaged_with(Bytes row, std::size_t at, int byte, Decode decode) {
  CAPTURE(at);
  CAPTURE(byte);
  row.at(at) = static_cast<char>(byte);
  const auto decoded = decode(ByteView(row));
  REQUIRE_FALSE(decoded.has_value());
  CHECK(decoded.error().code == ErrorCode::damaged);
}

inline std::uint64_t u64_at(ByteView row, std::size_t at) {
  return Reader(row.substr(at)).u64();
}

}  // namespace once::testing
