// Fields: what is asked for, as a list of named values, where there is no JSON text of it.
//
//   struct Order { std::string id; std::int64_t amount; std::string currency; Time sent_at; };
//
//   once::Fields fields;
//   fields.add("amount", order.amount).add("currency", order.currency);
//   // or, with the members listed once for all orders:
//   auto fields = once::fields_of(order, once::field("amount", &Order::amount),
//                                 once::field("currency", &Order::currency));
//
//   auto key = once::content_key(fields);                      // {"amount":..., "currency":...}
//   auto key = once::content_key(fields, {.exclude = {"currency"}});
//   auto key = once::given_or_content_key(header_of(request), fields);  // the user's own, if any
//
// Fields are the JSON object with these members: they have the same canonical form, keys and
// digests as that text, in whatever order they are listed.
//
// Numbers: an integer is written as a JSON number where a double carries it exactly, which is so
// for all up to 2^53, and as a JSON string of its digits where not (RFC 7493, section 2.2, and what
// canonical_json() tells the author of a text to do). So no two integers meet. A double is written
// as the shortest digits that read back as the same; 1.0 and 1 are the same, and so are 0.0 and
// -0.0.
//
// A value that cannot be written (not a number, infinite, text that is no UTF-8, a null char*) does
// not throw: the Fields note the first one, and whatever is derived from them gives that error.
// Values are copied. A value like any other: not to be changed from two threads at once.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "once/error.h"
#include "once/key.h"

namespace once {

namespace keys {
class FieldsReader;
}

class Fields;

namespace internal {

template <class T>
concept CharacterType =
    std::same_as<T, char> || std::same_as<T, wchar_t> || std::same_as<T, char8_t> ||
    std::same_as<T, char16_t> || std::same_as<T, char32_t>;

// `char` is left out: it may be meant as a number or as text.
template <class T>
concept FieldInteger =
    std::integral<T> && !std::same_as<T, bool> && !CharacterType<T> && sizeof(T) <= 8;

template <class T>
concept FieldList =
    std::ranges::input_range<const T> && !std::convertible_to<T, std::string_view> &&
    !std::same_as<std::remove_cvref_t<std::ranges::range_value_t<const T>>, T>;

}  // namespace internal

// One value: text, an integer of up to 64 bits, a float or double, a bool, null, a list of values,
// or Fields. An empty optional is null.
class FieldValue {
 public:
  FieldValue(std::nullptr_t) : FieldValue(Kind::scalar, "null") {}
  FieldValue(std::nullopt_t) : FieldValue(nullptr) {}
  FieldValue(std::string_view text);
  FieldValue(const std::string& text) : FieldValue(std::string_view(text)) {}
  FieldValue(const char* text);
  FieldValue(double number);
  FieldValue(float number) : FieldValue(static_cast<double>(number)) {}
  template <std::same_as<bool> T>
  FieldValue(T value) : FieldValue(Kind::scalar, value ? "true" : "false") {}
  template <internal::FieldInteger T>
  FieldValue(T value) : FieldValue(of_integer(value)) {}
  template <class T>
  FieldValue(const std::optional<T>& value)
      : FieldValue(value ? FieldValue(*value) : FieldValue(nullptr)) {}
  template <internal::FieldList T>
  FieldValue(const T& list) : FieldValue(Kind::array, "") {
    for (const auto& element : list) append("", FieldValue(element));
  }
  FieldValue(const Fields& fields);

 private:
  friend class Fields;
  friend class keys::FieldsReader;
  enum class Kind : std::uint8_t { scalar, array, object };

  FieldValue(Kind kind, std::string text)
      : kind_(kind), depth_(kind == Kind::scalar ? 0 : 1), text_(std::move(text)) {}
  static FieldValue of_integer(std::uint64_t value);
  static FieldValue of_integer(std::int64_t value);
  template <internal::FieldInteger T>
  static FieldValue of_integer(T value) {
    using Wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
    return of_integer(static_cast<Wide>(value));
  }
  static FieldValue wrong(std::string why);
  void append(std::string_view name, FieldValue&& child);

  Kind kind_ = Kind::scalar;
  std::size_t depth_ = 0;             // levels of lists and Fields
  std::string text_{};                // of a scalar, canonical
  std::vector<std::string> names_{};  // of the children of an object
  std::vector<FieldValue> children_{};
  std::string wrong_{};  // what cannot be written, and where; empty: nothing
};

class Fields {
 public:
  Fields() : object_(FieldValue::Kind::object, "") {}

  // Lists one more. A name twice is an error of what is derived, as it is in JSON.
  Fields& add(std::string_view name, FieldValue value);

 private:
  friend class FieldValue;
  friend class keys::FieldsReader;
  FieldValue object_;
};

// A name and where its value is: a member, a member function, or anything that can be called with
// the object.
template <class Projection>
struct Field {
  std::string name;
  Projection projection;
};
template <class Projection>
[[nodiscard]] Field<Projection> field(std::string name, Projection projection) {
  return {std::move(name), std::move(projection)};
}

// The listed fields of `object`.
template <class Object, class... Projections>
[[nodiscard]] Fields fields_of(const Object& object, const Field<Projections>&... listed) {
  Fields fields;
  (fields.add(listed.name, std::invoke(listed.projection, object)), ...);
  return fields;
}

// As their namesakes in once/key.h, of the JSON object that the fields are. Errors: the same, and
// invalid_argument for a value that cannot be written and for a name that is there twice.
[[nodiscard]] Result<std::string> canonical_json(const Fields& fields,
                                                 const Selection& selection = {});
[[nodiscard]] Result<Key> content_key(const Fields& fields, const Selection& selection = {});
[[nodiscard]] Result<Key> operation_key(const Fields& fields, const OperationContext& context,
                                        const Selection& selection = {});
[[nodiscard]] Result<Key> hybrid_key(const Key& given, const Fields& fields,
                                     const Selection& selection = {});

// The key that the user gave, checked, or the content key when none was given. Errors: what
// Key::validate() says of the one given; those of content_key().
[[nodiscard]] Result<Key> given_or_content_key(const std::optional<Key>& given,
                                               const Fields& fields,
                                               const Selection& selection = {});

}  // namespace once
