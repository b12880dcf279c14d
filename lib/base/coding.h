// Writing and reading the bytes of a row: fixed little-endian integers and length-prefixed strings.
//
// Reader never reads past its end. After the first violation it gives zeros and empty strings and
// ok() is false, so a decoder reads all its fields first and asks once.
#pragma once

#include <cstdint>
#include <cstring>

#include "once/bytes.h"

namespace once {

class Writer {
 public:
  explicit Writer(Bytes& out) : out_(out) {}

  void u8(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void u32(std::uint32_t value) { fixed(value); }
  void u64(std::uint64_t value) { fixed(value); }
  void i64(std::int64_t value) { fixed(static_cast<std::uint64_t>(value)); }
  void raw(ByteView bytes) { out_.append(bytes); }
  // A 32-bit length, then the bytes.
  void string(ByteView bytes) {
    u32(static_cast<std::uint32_t>(bytes.size()));
    raw(bytes);
  }

 private:
  template <class T>
  void fixed(T value) {
    char buffer[sizeof(T)];
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      buffer[i] = static_cast<char>(static_cast<std::uint8_t>(value >> (8 * i)));
    }
    out_.append(buffer, sizeof(T));
  }

  Bytes& out_;
};

class Reader {
 public:
  explicit Reader(ByteView in) : in_(in) {}

  std::uint8_t u8() { return fixed<std::uint8_t>(); }
  std::uint32_t u32() { return fixed<std::uint32_t>(); }
  std::uint64_t u64() { return fixed<std::uint64_t>(); }
  std::int64_t i64() { return static_cast<std::int64_t>(fixed<std::uint64_t>()); }
  // Exactly `size` bytes; the view points into the input.
  ByteView raw(std::size_t size) {
    if (!ok_ || in_.size() < size) {
      ok_ = false;
      return {};
    }
    const ByteView bytes = in_.substr(0, size);
    in_.remove_prefix(size);
    return bytes;
  }
  ByteView string() { return raw(u32()); }

  [[nodiscard]] bool ok() const { return ok_; }
  // All read, and nothing left over.
  [[nodiscard]] bool done() const { return ok_ && in_.empty(); }
  [[nodiscard]] std::size_t left() const { return in_.size(); }

 private:
  template <class T>
  T fixed() {
    const ByteView bytes = raw(sizeof(T));
    if (!ok_) return 0;
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      value =
          static_cast<T>(value | static_cast<T>(T{static_cast<std::uint8_t>(bytes[i])} << (8 * i)));
    }
    return value;
  }

  ByteView in_;
  bool ok_ = true;
};

}  // namespace once
