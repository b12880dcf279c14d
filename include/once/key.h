// Key: names one operation; and the rules that derive a key from what is to be done.
//
//   once::Key key = "charge:order-42";                        // given; tenant and operation empty
//   once::Key key("acme", "charge", "order-42");
//   auto key = once::Key::parse("acme/charge/order%2F42");    // the written form
//
//   auto key = once::content_key(R"({"amount":4200,"to":"bob","at":17})", {.exclude = {"at"}});
//   auto key = once::operation_key(json, {.user = "ann", .organisation = "acme"});
//   auto key = once::hybrid_key("order-42", json);            // order-42:... by content
//   auto key = once::smith_key("run-7", "episode-1", "step-3");
//   auto key = once::Scope{"acme", "charge"}.key(once::uuid_key());
//
// Any bytes may stand in each part, NUL and 0xFF included. The written form is
// `tenant/operation/id` with %-escapes; a plain `id` means that tenant and operation are empty.
//
//   rule           the id is                                     from
//   given          what you say                                  you
//   uuid_key       a UUID of version 7                           the clock and random bits
//   smith_key      idem_ and 16 digits                           run, episode and step
//   intent_key     the same                                      intent, actor, episode and step
//   content_key    operation: and 32 digits                      JSON, or Fields (once/fields.h)
//   operation_key  operation: and 32 digits                      the same, user and organisation
//   hybrid_key     a given id, ":" and 32 digits                 the same, and what you say
//
// Derived ids are the first digits of SHA-256, so other programs can derive them too;
// docs/formats.md says of what. All functions here are pure (but for uuid_key) and thread-safe.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "once/bytes.h"
#include "once/clock.h"
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

// Writes one part with %-escapes, as Key::to_string() does, and reads it back. Errors of reading:
// invalid_argument (a broken %-escape). How long the part is is not checked.
[[nodiscard]] std::string escape(ByteView part);
[[nodiscard]] Result<Bytes> unescape(std::string_view written);

// A tenant and an operation that many keys are of: what keeps two tenants, or two kinds of
// operation, from answering each other.
//
//   const once::Scope charges{.tenant = "acme", .operation = "charge"};
//   auto key = charges.key("order-42");                        // acme/charge/order-42
//   store.scan({.prefix = charges.prefix()}, visit);           // all of them
struct Scope {
  Bytes tenant{};
  Bytes operation{};

  // `key` within this scope. Errors: invalid_argument when it is of another one already;
  // limit_exceeded, and all that Key::validate() checks.
  [[nodiscard]] Result<Key> key(const Key& key) const;
  // For ScanOptions::prefix: the keys of this scope; with an empty operation those of all the
  // tenant's, with an empty tenant too all there are.
  [[nodiscard]] Bytes prefix() const;
};

// ---- Keys of their own -----------------------------------------------------------------------

// A UUID of version 7 (RFC 9562, section 5.7) as id: 48 bits of milliseconds since the epoch and 74
// random bits of the operating system, 36 characters in all. Make it once, where the operation is
// thought up, and hand the same to every attempt.
[[nodiscard]] Key uuid_key();
[[nodiscard]] Key uuid_key(Time now);

// `idem_` and the first 16 hexadecimal digits of SHA-256 over `run::episode::step`: the key that
// agents built on the smith convention derive for a step, 21 characters in all. The convention
// joins the three without escapes: keep `::` out of them, or two steps may meet. Errors:
// invalid_argument when `run` is empty.
[[nodiscard]] Result<Key> smith_key(std::string_view run, std::string_view episode,
                                    std::string_view step);

// Where a step came from, as agents tell it along with what they ask for.
struct Intent {
  std::string intent{};
  std::string actor{};
  std::string episode{};
  std::optional<std::uint64_t> step{};  // none counts as 0
};
// The smith key of run `intent:actor`. Errors: invalid_argument when intent or actor is empty.
[[nodiscard]] Result<Key> intent_key(const Intent& intent);

// ---- Keys from content -----------------------------------------------------------------------

// Which members of a JSON object, or fields of Fields, count. Each is a JSON pointer (RFC 6901,
// "/meta/sent_at") or a name at the top ("sent_at"); one that is not there is an error, so that a
// misspelt one is noticed. So are paths that leave no value, since all content would be the same.
struct Selection {
  std::vector<std::string> include{};  // only these; empty: all
  std::vector<std::string> exclude{};  // and not these
};

// The canonical form of `json` (RFC 8785: members sorted, numbers and strings in one spelling)
// after leaving out what does not count. Errors: invalid_argument for text that is no JSON, a
// member named twice, an integer that a JSON number cannot carry exactly (RFC 7493, section 2.2;
// write it as a string), nesting deeper than 500 levels, a path that is not there, or paths that
// leave no value.
[[nodiscard]] Result<std::string> canonical_json(std::string_view json,
                                                 const Selection& selection = {});

// `operation:` and the first 32 hexadecimal digits of SHA-256 over the canonical form, so that the
// order of members and the way numbers are written do not matter. Errors as canonical_json().
[[nodiscard]] Result<Key> content_key(std::string_view json, const Selection& selection = {});

// For whom an operation is carried out.
struct OperationContext {
  std::optional<std::string> user{};
  std::optional<std::string> organisation{};
};
// The content key of {"context":{"organisation":...,"user":...},"input":JSON}, without the members
// of the context that are not given: the same input of two users has two keys. Errors as
// canonical_json(), and invalid_argument for a user or organisation that is no UTF-8.
[[nodiscard]] Result<Key> operation_key(std::string_view json, const OperationContext& context,
                                        const Selection& selection = {});

// `given` with ":" and the 32 digits of the content key behind its id: names what you say, and two
// contents under one name are two operations. Errors as canonical_json(), and what
// Key::validate() says of `given` and of the result.
[[nodiscard]] Result<Key> hybrid_key(const Key& given, std::string_view json,
                                     const Selection& selection = {});

// ---- Telling keys apart ----------------------------------------------------------------------

// How an id is made up. Only a look at its form: a given id may look like a derived one.
enum class KeyFormat : std::uint8_t {
  given = 1,      // none of the others
  smith = 2,      // idem_ and 16 digits: smith_key(), intent_key()
  operation = 3,  // operation: and 32 digits: content_key(), operation_key()
  hybrid = 4,     // something, ":" and 32 digits: hybrid_key()
  uuid = 5,       // a UUID of version 7: uuid_key()
};
[[nodiscard]] KeyFormat format_of(const Key& key);
// "given", "smith", "operation", "hybrid", "uuid". Never null.
[[nodiscard]] std::string_view to_string(KeyFormat format) noexcept;
// Reads what to_string wrote. Errors: invalid_argument.
[[nodiscard]] Result<KeyFormat> parse_key_format(std::string_view text);

// Checks the key's limits and that its id is of `format`; every id is `given`. Errors:
// invalid_argument, saying what is wrong with it: how many characters, or which is no digit.
[[nodiscard]] Result<void> check_format(const Key& key, KeyFormat format);
// Reads the written form of a smith key. Errors: as Key::parse() and check_format().
[[nodiscard]] Result<Key> parse_smith_key(std::string_view written);

}  // namespace once
