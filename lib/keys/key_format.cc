// Telling how an id is made up, and what is wrong with one that should be of a format.
#include <algorithm>

#include "base/error.h"
#include "keys/derived_key.h"
#include "once/key.h"

namespace once {
namespace {

constexpr KeyFormat formats[] = {KeyFormat::given, KeyFormat::smith, KeyFormat::operation,
                                 KeyFormat::hybrid, KeyFormat::uuid};

bool is_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

std::unexpected<Error> wrong(KeyFormat format, std::string why) {
  return fail(ErrorCode::invalid_argument, "this is no {} key: {}", to_string(format), why);
}

// `id` as `prefix` and `digits` digits. The first thing that is wrong with it, or empty.
std::string wrong_with(std::string_view id, std::string_view prefix, std::size_t digits) {
  const std::size_t size = prefix.size() + digits;
  if (id.size() != size) {
    return fmt::format("it has {} characters, and {} are needed ('{}' and {} hexadecimal digits)",
                       id.size(), size, prefix, digits);
  }
  if (!id.starts_with(prefix)) return fmt::format("it does not begin with '{}'", prefix);
  const auto bad =
      std::find_if_not(id.begin() + static_cast<std::ptrdiff_t>(prefix.size()), id.end(), is_digit);
  if (bad == id.end()) return "";
  const auto at = static_cast<std::size_t>(bad - id.begin());
  return fmt::format("'{}' at character {} (counted from 0) is no hexadecimal digit (0-9, a-f)",
                     escape(id.substr(at, 1)), at);
}

std::string wrong_with_hybrid(std::string_view id) {
  constexpr std::size_t suffix = 1 + keys::content_digits;
  if (id.size() <= suffix) {
    return fmt::format(
        "it has {} characters, and more than {} are needed (something, ':' and {} "
        "hexadecimal digits)",
        id.size(), suffix, keys::content_digits);
  }
  return wrong_with(id.substr(id.size() - suffix), ":", keys::content_digits);
}

std::string wrong_with_uuid(std::string_view id) {
  if (id.size() != keys::uuid_characters) {
    return fmt::format("it has {} characters, and a UUID has {}", id.size(), keys::uuid_characters);
  }
  for (std::size_t i = 0; i < id.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? id[i] == '-' : is_digit(id[i])) continue;
    return fmt::format("'{}' at character {} (counted from 0) is no {}", escape(id.substr(i, 1)), i,
                       dash ? "dash" : "hexadecimal digit (0-9, a-f)");
  }
  if (id[14] != '7') return fmt::format("it is a UUID of version {}, and not 7", id[14]);
  if (!std::string_view("89ab").contains(id[19])) return "its variant is not that of RFC 9562";
  return "";
}

std::string wrong_with(std::string_view id, KeyFormat format) {
  switch (format) {
    case KeyFormat::smith:
      return wrong_with(id, keys::smith_prefix, keys::smith_digits);
    case KeyFormat::operation:
      return wrong_with(id, keys::content_prefix, keys::content_digits);
    case KeyFormat::hybrid:
      return wrong_with_hybrid(id);
    case KeyFormat::uuid:
      return wrong_with_uuid(id);
    case KeyFormat::given:
      break;
  }
  return "";
}

}  // namespace

KeyFormat format_of(const Key& key) {
  // An operation key has the form of a hybrid one too.
  for (const KeyFormat format :
       {KeyFormat::smith, KeyFormat::operation, KeyFormat::hybrid, KeyFormat::uuid}) {
    if (wrong_with(key.id, format).empty()) return format;
  }
  return KeyFormat::given;
}

std::string_view to_string(KeyFormat format) noexcept {
  switch (format) {
    case KeyFormat::given:
      return "given";
    case KeyFormat::smith:
      return "smith";
    case KeyFormat::operation:
      return "operation";
    case KeyFormat::hybrid:
      return "hybrid";
    case KeyFormat::uuid:
      return "uuid";
  }
  return "unnamed";
}

Result<KeyFormat> parse_key_format(std::string_view text) {
  std::string names;
  for (const KeyFormat format : formats) {
    if (text == to_string(format)) return format;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", to_string(format));
  }
  return fail(ErrorCode::invalid_argument, "there is no format '{}' of keys; use one of {}",
              escape(text.substr(0, 40)), names);
}

Result<void> check_format(const Key& key, KeyFormat format) {
  if (auto valid = key.validate(); !valid) return valid;
  std::string why = wrong_with(key.id, format);
  if (why.empty()) return {};
  return wrong(format, std::move(why));
}

Result<Key> parse_smith_key(std::string_view written) {
  auto key = Key::parse(written);
  if (!key) return key;
  if (auto checked = check_format(*key, KeyFormat::smith); !checked) return pass(checked);
  return key;
}

}  // namespace once
