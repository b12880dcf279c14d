// Record: what a store keeps for a key.
//
//   auto found = store.find("charge:order-42").value();
//   if (found && found->record.status == once::Status::in_doubt) page_somebody();
#pragma once

#include <array>
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
#include "once/holder.h"

namespace once {

enum class Status : std::uint8_t {
  in_progress = 1,  // somebody holds a reservation
  completed = 2,    // a success is kept and replayed
  failed = 3,       // a definite failure is kept and replayed
  in_doubt = 4,     // the owner died after it may have acted; resolve() decides
  released = 5,     // free to be reserved again; kept for its attempt count
};

// What becomes of a reservation whose owner died or whose lease lapsed.
enum class OnAbandon : std::uint8_t {
  in_doubt = 1,  // nobody runs it again until somebody decides: for effects that must not repeat
  rerun = 2,     // the next to ask takes over: for work that may safely be done again
};

// Fencing token: grows forever and is never used twice in a store. Hand `value` to the systems the
// work talks to, so that they can refuse an owner that was replaced (M. Kleppmann, "How to do
// distributed locking", 2016).
struct Token {
  std::uint64_t value = 0;
  friend auto operator<=>(const Token&, const Token&) = default;
};

// 128-bit digest of what was asked, so that one key cannot answer a different question.
struct Fingerprint {
  std::array<std::uint8_t, 16> digest{};

  // The first 16 bytes of SHA-256 over `question`.
  [[nodiscard]] static Fingerprint of(ByteView question);
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};

inline constexpr std::size_t max_question_fields = 64;
inline constexpr std::size_t max_field_name_bytes = 255;

// 64-bit digest of one field of what was asked, so that a mismatch can name the fields that differ
// without their values being kept. See Question in once/question.h, which makes them.
//
// What a record keeps is a digest of this digest together with the key, so that equal values under
// different keys do not look equal in a store. It is no secret all the same: who can read the store
// can try values, and finds out those of which there are few (a yes or no, an amount). Keep no
// digest of a field that must not be guessed; the fingerprint alone then tells that it differs.
struct FieldDigest {
  std::string name{};
  std::array<std::uint8_t, 8> digest{};

  // The first 8 bytes of SHA-256 over `value`.
  [[nodiscard]] static FieldDigest of(std::string_view name, ByteView value);
  friend auto operator<=>(const FieldDigest&, const FieldDigest&) = default;
};

struct Record {
  Status status = Status::in_progress;
  OnAbandon on_abandon = OnAbandon::in_doubt;
  Token token{};                             // of the last reservation
  Token origin{};                            // of the first reservation of this life of the key
  std::uint32_t attempt = 1;                 // reservations of this life, this one included
  Time created_at{};                         // first reservation of this life
  Time updated_at{};                         // last transition
  Time lease_until{};                        // in progress: how long the reservation holds
  Time expires_at{};                         // finished or released: end of retention; else 0
  Duration retention{};                      // how long a success will be kept
  Holder holder{};                           // who holds or held it
  std::optional<Fingerprint> fingerprint{};  // of the question, when one was given
  std::vector<FieldDigest> fields{};         // of the question, bound to the key, by name
  std::optional<Fingerprint> outcome{};      // digest of the outcome kept, when finished
  std::uint64_t last_history = 0;            // sequence of this key's newest history row; 0: none

  friend bool operator==(const Record&, const Record&) = default;
};

// "in_progress", "completed", "failed", "in_doubt", "released". Never null.
[[nodiscard]] std::string_view to_string(Status status) noexcept;
// Reads what to_string wrote ('-' and '_' mean the same). Errors: invalid_argument.
[[nodiscard]] Result<Status> parse_status(std::string_view text);
// "rerun", "in_doubt". Never null.
[[nodiscard]] std::string_view to_string(OnAbandon on_abandon) noexcept;

// True for completed, failed and released: retention counts for these, and sweep may remove them.
[[nodiscard]] constexpr bool is_finished(Status status) noexcept {
  return status == Status::completed || status == Status::failed || status == Status::released;
}

// True when the record's retention is over at `now`: it is answered as absent from then on.
[[nodiscard]] constexpr bool is_expired(const Record& record, Time now) noexcept {
  return is_finished(record.status) && record.expires_at <= now;
}

}  // namespace once
