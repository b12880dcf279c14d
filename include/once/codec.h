// Codec: how a typed result becomes the bytes of an outcome and comes back.
//
//   auto n = store.execute("count:7", [] { return std::int64_t{0}; });
//   n->value() == 0;  // and not "no result", on the first call and on every replay
//
// Texts are kept as they are read by people and by `once get`: integers and doubles in decimal,
// bool as true/false. A double takes the shortest form that reads back the same (std::to_chars).
// void, std::monostate and an empty std::optional are "null": no bytes at all, which is not the
// same as empty bytes. Specialise Codec<T> for types of your own.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>

#include "once/bytes.h"
#include "once/error.h"

namespace once {

// A specialisation has
//   static std::optional<Bytes> encode(const T& value);   // nullopt stands for null
//   static Result<T> decode(const std::optional<Bytes>& stored);
// decode() gives ErrorCode::wrong_type for bytes that encode() would not have written.
template <class T>
struct Codec;

// Makes the error for a stored outcome that is not a `type`.
[[nodiscard]] Error wrong_type(std::string_view type, const std::optional<Bytes>& stored);

template <>
struct Codec<Bytes> {
  static std::optional<Bytes> encode(const Bytes& value) { return value; }
  static Result<Bytes> decode(const std::optional<Bytes>& stored) {
    if (!stored) return std::unexpected(wrong_type("bytes", stored));
    return *stored;
  }
};

template <>
struct Codec<std::monostate> {
  static std::optional<Bytes> encode(std::monostate) { return std::nullopt; }
  static Result<std::monostate> decode(const std::optional<Bytes>& stored) {
    if (stored) return std::unexpected(wrong_type("null", stored));
    return std::monostate{};
  }
};

template <>
struct Codec<bool> {
  static std::optional<Bytes> encode(bool value) { return Bytes(value ? "true" : "false"); }
  static Result<bool> decode(const std::optional<Bytes>& stored) {
    if (stored == Bytes("true")) return true;
    if (stored == Bytes("false")) return false;
    return std::unexpected(wrong_type("bool", stored));
  }
};

template <class T>
concept Number = (std::integral<T> || std::floating_point<T>) && !std::same_as<T, bool> &&
                 !std::same_as<T, char> && !std::same_as<T, long double>;

template <Number T>
struct Codec<T> {
  static std::optional<Bytes> encode(T value) {
    char text[64];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    return Bytes(text, end);
  }
  static Result<T> decode(const std::optional<Bytes>& stored) {
    T value{};
    if (!stored) return std::unexpected(wrong_type("number", stored));
    const char* end = stored->data() + stored->size();
    const auto [stop, code] = std::from_chars(stored->data(), end, value);
    if (code != std::errc{} || stop != end) return std::unexpected(wrong_type("number", stored));
    return value;
  }
};

template <class T>
struct Codec<std::optional<T>> {
  static std::optional<Bytes> encode(const std::optional<T>& value) {
    return value ? Codec<T>::encode(*value) : std::nullopt;
  }
  static Result<std::optional<T>> decode(const std::optional<Bytes>& stored) {
    if (!stored) return std::optional<T>{};
    auto value = Codec<T>::decode(stored);
    if (!value) return std::unexpected(std::move(value.error()));
    return std::optional<T>{std::move(*value)};
  }
};

namespace internal {

// The type that work stands for: T for T and for Result<T>, monostate for void, Bytes for text.
template <class T>
struct WorkType {
  using type = T;
  static constexpr bool fallible = false;
};
template <>
struct WorkType<void> {
  using type = std::monostate;
  static constexpr bool fallible = false;
};
template <>
struct WorkType<const char*> {
  using type = Bytes;
  static constexpr bool fallible = false;
};
template <class T>
struct WorkType<std::expected<T, Error>> {
  using type = typename WorkType<T>::type;
  static constexpr bool fallible = true;
};

}  // namespace internal

}  // namespace once
