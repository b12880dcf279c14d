// JSON and MessagePack results, by nlohmann::json. Opt-in: include it after installing
// nlohmann-json (Debian: nlohmann-json3-dev); Once itself does not need it.
//
//   #include <once/json_codec.h>
//
//   struct Receipt { std::string id; int cents; };
//   NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Receipt, id, cents)
//   template <>
//   struct once::Codec<Receipt> : once::JsonCodec<Receipt> {};        // or MessagePackCodec
//
//   auto paid = store.execute("charge:42", [&]() -> Receipt { return gateway.charge(); });
//
// nlohmann::json itself is stored as JSON text. JSON is readable in `once get`; MessagePack is
// shorter, and keeps binary values. What a codec cannot read (other bytes, a member missing,
// nesting deeper than 500) is ErrorCode::wrong_type, naming the key; nothing is changed. What it
// cannot write so that it could read it again (text that is not UTF-8, nesting deeper than 500, in
// JSON also NaN and infinity) throws a nlohmann::json::exception or std::invalid_argument, and
// counts as an exception of the work.
//
// As arguments of idempotent(), values with these codecs are written in canonical JSON (RFC 8785).
#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "once/codec.h"
#include "once/idempotent.h"
#include "once/key.h"

namespace once {

inline constexpr std::size_t max_json_depth = 500;

namespace internal {

// Whether text or bytes are well formed and nested no deeper than may be: a reader that calls
// itself for each level would otherwise run out of stack.
class DepthCheck final : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return ++depth_ <= max_json_depth; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return --depth_ < max_json_depth; }
  bool start_array(std::size_t) override { return ++depth_ <= max_json_depth; }
  bool end_array() override { return --depth_ < max_json_depth; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override {
    return false;
  }

 private:
  std::size_t depth_ = 0;
};

// Throws std::invalid_argument for what could be written, and not be read again.
inline void check_writable(const nlohmann::json& value, nlohmann::json::input_format_t format) {
  const bool finite = format == nlohmann::json::input_format_t::json;
  // Values, and how many containers there are around each. Not by recursion: it may be deep.
  std::vector<std::pair<const nlohmann::json*, std::size_t>> open{{&value, 0}};
  while (!open.empty()) {
    const auto [at, around] = open.back();
    open.pop_back();
    if (at->is_structured() && around == max_json_depth) {
      throw std::invalid_argument("a value is nested deeper than " +
                                  std::to_string(max_json_depth) + ", and could not be read again");
    }
    if (finite && at->is_number_float() && !std::isfinite(at->get<double>())) {
      throw std::invalid_argument("JSON has no infinity, and nothing that is not a number");
    }
    if (!at->is_structured()) continue;
    for (const nlohmann::json& within : *at) open.emplace_back(&within, around + 1);
  }
}

// As bytes of that format.
template <class T>
Bytes write_json(const T& value, nlohmann::json::input_format_t format) {
  if constexpr (std::same_as<T, nlohmann::json>) {
    check_writable(value, format);
    if (format == nlohmann::json::input_format_t::json) return value.dump();
    Bytes bytes;
    nlohmann::json::to_msgpack(value, bytes);
    return bytes;
  } else {
    return write_json<nlohmann::json>(nlohmann::json(value), format);
  }
}

// The value in `stored`, or nullopt if it is none of that format.
inline std::optional<nlohmann::json> read_json(const Bytes& stored,
                                               nlohmann::json::input_format_t format) {
  DepthCheck check;
  if (!nlohmann::json::sax_parse(stored, &check, format)) return std::nullopt;
  auto value = format == nlohmann::json::input_format_t::json
                   ? nlohmann::json::parse(stored, nullptr, false)
                   : nlohmann::json::from_msgpack(stored, true, false);
  if (value.is_discarded()) return std::nullopt;
  return value;
}

template <class T>
Result<T> from_json_bytes(const std::optional<Bytes>& stored, std::string_view name,
                          nlohmann::json::input_format_t format) {
  if (!stored) return std::unexpected(wrong_type(name, stored));
  auto value = read_json(*stored, format);
  if (!value) return std::unexpected(wrong_type(name, stored));
  if constexpr (std::same_as<T, nlohmann::json>) {
    return std::move(*value);
  } else {
    try {
      return value->template get<T>();
    } catch (const nlohmann::json::exception& unfit) {
      Error error = wrong_type(std::string(name) + " of the type asked for", stored);
      error.message += " (";
      error.message += unfit.what();
      error.message += ")";
      return std::unexpected(std::move(error));
    }
  }
}

}  // namespace internal

// Codecs for types that nlohmann::json can convert, to derive a Codec from.
template <class T>
struct JsonCodec {
  static constexpr bool is_json = true;
  static std::optional<Bytes> encode(const T& value) {
    return internal::write_json(value, nlohmann::json::input_format_t::json);
  }
  static Result<T> decode(const std::optional<Bytes>& stored) {
    return internal::from_json_bytes<T>(stored, "JSON value", nlohmann::json::input_format_t::json);
  }
};
template <class T>
struct MessagePackCodec {
  static constexpr bool is_json = true;
  static std::optional<Bytes> encode(const T& value) {
    return internal::write_json(value, nlohmann::json::input_format_t::msgpack);
  }
  static Result<T> decode(const std::optional<Bytes>& stored) {
    return internal::from_json_bytes<T>(stored, "MessagePack value",
                                        nlohmann::json::input_format_t::msgpack);
  }
};

template <>
struct Codec<nlohmann::json> : JsonCodec<nlohmann::json> {};

// Equal values are written alike: members in order, numbers in one spelling. A value that JSON
// cannot carry exactly (an integer over 2^53, NaN, infinity) throws std::invalid_argument.
template <class T>
  requires(Codec<T>::is_json)
struct Argument<T> {
  static std::optional<Bytes> write(const T& value) {
    auto canonical =
        canonical_json(internal::write_json(value, nlohmann::json::input_format_t::json));
    if (!canonical) throw std::invalid_argument(canonical.error().message);
    return std::move(*canonical);
  }
};

}  // namespace once
