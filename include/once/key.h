// Key: names one operation.
//
//   once::Key key = "charge:order-42";                        // tenant and operation empty
//   once::Key key("acme", "charge", "order-42");
//   auto key = once::Key::parse("acme/charge/order%2F42");    // the written form
//
// Any bytes may stand in each part, NUL and 0xFF included. The written form is
// `tenant/operation/id` with %-escapes; a plain `id` means that tenant and operation are empty.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "once/bytes.h"
#include "once/error.h"

namespace once {

inline constexpr std::size_t max_tenant_bytes = 255;
inline constexpr std::size_t max_operation_bytes = 255;
inline constexpr std::size_t max_id_bytes = 1024;

struct Key {
  Bytes tenant;
  Bytes operation;
  Bytes id;

  Key() = default;
  // An id alone. Not checked here; every store operation checks before it changes anything.
  Key(std::string_view whole_id) : id(whole_id) {}
  Key(const char* whole_id) : id(whole_id) {}
  Key(const std::string& whole_id) : id(whole_id) {}
  Key(std::string_view tenant_part, std::string_view operation_part, std::string_view id_part)
      : tenant(tenant_part), operation(operation_part), id(id_part) {}

  // Reads the written form. Errors: invalid_argument (empty id, a broken %-escape, one or more
  // than two slashes), limit_exceeded.
  static Result<Key> parse(std::string_view written);
  // The written form; parse(to_string()) gives the same key for every valid key. Letters, digits
  // and `-._~:@+=,` stay as they are, everything else becomes %XX.
  [[nodiscard]] std::string to_string() const;
  // Checks the limits: tenant and operation at most 255 bytes each, id 1 to 1,024 bytes.
  [[nodiscard]] Result<void> validate() const;

  // The order of the store: by tenant, operation, id, each as unsigned bytes.
  friend auto operator<=>(const Key&, const Key&) = default;
};

// Writes one part with %-escapes, as Key::to_string() does, and reads it back.
[[nodiscard]] std::string escape(ByteView part);
[[nodiscard]] Result<Bytes> unescape(std::string_view written);

// `idem_` and the first 16 hexadecimal digits of SHA-256 over `run::episode::step`: the key that
// agents built on the smith convention derive for a step, 21 characters in all.
// Errors: invalid_argument when `run` is empty.
[[nodiscard]] Result<Key> smith_key(std::string_view run, std::string_view episode,
                                    std::string_view step);

// `operation:` and the first 32 hexadecimal digits of SHA-256 over the canonical form of `json`
// (RFC 8785: members sorted, numbers and strings in one spelling), so that the order of fields and
// the way numbers are written do not matter. `exclude` lists members to leave out, as JSON
// pointers (RFC 6901, "/meta/sent_at") or names at the top ("sent_at").
// Errors: invalid_argument for text that is no JSON, a member named twice, a number JSON cannot
// carry exactly (RFC 7493), nesting deeper than 500, or an excluded path that is not there.
[[nodiscard]] Result<Key> content_key(std::string_view json,
                                      const std::vector<std::string>& exclude = {});

// The canonical form itself (RFC 8785), after leaving out `exclude`. Errors as content_key().
[[nodiscard]] Result<std::string> canonical_json(std::string_view json,
                                                 const std::vector<std::string>& exclude = {});

}  // namespace once
