// The written form of keys: `tenant/operation/id` with %-escapes; see once/key.h.
//
// Two slashes or none stand unescaped, so that how the text divides into parts is never a guess.
#include "once/key.h"

#include <algorithm>

#include "base/error.h"

namespace once {
namespace {

constexpr std::size_t shown_bytes = 60;

constexpr bool stands_for_itself(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~:@+=,").contains(c);
}

constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// What the caller wrote, safe to print: slashes and % stay, since they are what it is about.
std::string shown(std::string_view written) {
  std::string text;
  for (const char c : written.substr(0, shown_bytes)) {
    if (c == '/' || c == '%') {
      text += c;
    } else {
      text += escape(ByteView(&c, 1));
    }
  }
  return written.size() > shown_bytes ? text + "..." : text;
}

// How many bytes `part` stands for; `offset` is where it begins in what the caller wrote. Counts
// before anything is allocated, so that an over-long part costs nothing.
Result<std::size_t> unescaped_size(std::string_view part, std::size_t offset) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < part.size(); ++i, ++size) {
    if (part[i] != '%') continue;
    if (part.size() - i < 3 || hex_value(part[i + 1]) < 0 || hex_value(part[i + 2]) < 0) {
      return fail(ErrorCode::invalid_argument,
                  "broken %-escape at byte {} (counted from 0): after '%' come two hexadecimal "
                  "digits; write %25 for a percent sign",
                  offset + i);
    }
    i += 2;
  }
  return size;
}

// `part` was accepted by unescaped_size().
Bytes unescape_checked(std::string_view part, std::size_t size) {
  Bytes bytes;
  bytes.reserve(size);
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (part[i] == '%') {
      bytes.push_back(static_cast<char>(hex_value(part[i + 1]) << 4 | hex_value(part[i + 2])));
      i += 2;
    } else {
      bytes.push_back(part[i]);
    }
  }
  return bytes;
}

Result<void> check_size(std::string_view part, std::size_t size, std::size_t limit) {
  if (size <= limit) return {};
  return fail(ErrorCode::limit_exceeded,
              "the {} of the key has {} bytes, at most {} are allowed; use a shorter one, for "
              "example a digest of it",
              part, size, limit);
}

Result<void> check_id(std::size_t size) {
  if (size != 0) return check_size("id", size, max_id_bytes);
  return fail(ErrorCode::invalid_argument,
              "the id of the key is empty; give 1 to {} bytes that name the operation",
              max_id_bytes);
}

Result<Bytes> read_part(std::string_view name, std::string_view part, std::size_t offset,
                        std::size_t limit) {
  auto size = unescaped_size(part, offset);
  if (!size) return pass(size);
  if (auto checked = check_size(name, *size, limit); !checked) return pass(checked);
  return unescape_checked(part, *size);
}

}  // namespace

std::string escape(ByteView part) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string text;
  text.reserve(part.size());
  for (const char c : part) {
    if (stands_for_itself(c)) {
      text.push_back(c);
      continue;
    }
    const auto byte = static_cast<std::uint8_t>(c);
    text.push_back('%');
    text.push_back(digits[byte >> 4]);
    text.push_back(digits[byte & 0x0f]);
  }
  return text;
}

Result<Bytes> unescape(std::string_view written) {
  auto size = unescaped_size(written, 0);
  if (!size) return pass(size);
  return unescape_checked(written, *size);
}

Result<Key> Key::parse(std::string_view written) {
  const auto slashes = std::count(written.begin(), written.end(), '/');
  if (slashes != 0 && slashes != 2) {
    return fail(ErrorCode::invalid_argument,
                "the key '{}' has {} slash{}: write tenant/operation/id, or just an id, and %2F "
                "for a slash inside a part",
                shown(written), slashes, slashes == 1 ? "" : "es");
  }
  const std::size_t first = slashes == 0 ? 0 : written.find('/') + 1;
  const std::size_t second = slashes == 0 ? 0 : written.find('/', first) + 1;
  Key key;
  if (slashes == 2) {
    auto tenant_part = read_part("tenant", written.substr(0, first - 1), 0, max_tenant_bytes);
    if (!tenant_part) return pass(tenant_part);
    auto operation_part = read_part("operation", written.substr(first, second - 1 - first), first,
                                    max_operation_bytes);
    if (!operation_part) return pass(operation_part);
    key.tenant = std::move(*tenant_part);
    key.operation = std::move(*operation_part);
  }
  auto id_part = read_part("id", written.substr(second), second, max_id_bytes);
  if (!id_part) return pass(id_part);
  key.id = std::move(*id_part);
  if (auto checked = check_id(key.id.size()); !checked) return pass(checked);
  return key;
}

std::string Key::to_string() const {
  if (tenant.empty() && operation.empty()) return escape(id);
  return escape(tenant) + '/' + escape(operation) + '/' + escape(id);
}

Result<void> Key::validate() const {
  if (auto checked = check_size("tenant", tenant.size(), max_tenant_bytes); !checked) {
    return checked;
  }
  if (auto checked = check_size("operation", operation.size(), max_operation_bytes); !checked) {
    return checked;
  }
  return check_id(id.size());
}

}  // namespace once
