// Outcome: what happened when an operation was carried out.
//
//   store.complete(reservation, once::Outcome::success("receipt-7"));
//
// A success carries bytes or, apart from empty bytes, nothing at all ("null"): whether there are
// any is kept as a bit, and the empty string, `0`, `false` and null replay as what they are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "once/bytes.h"
#include "once/record.h"

namespace once {

enum class OutcomeKind : std::uint8_t { success = 1, failure = 2, timeout = 3, killed = 4 };

struct Outcome {
  OutcomeKind kind = OutcomeKind::success;
  std::optional<Bytes> value{};     // the result; a failure may carry one too
  std::string code{};               // failure: the work's own code, at most 255 bytes
  std::string message{};            // failure: for people, at most 64 KiB
  std::string content_type{};       // how to read `value`, at most 255 bytes; empty: plain bytes
  std::uint64_t omitted_bytes = 0;  // not 0: the value was this long, too large to keep (tombstone)

  // It was done, with this result; without bytes: with none ("null").
  [[nodiscard]] static Outcome success(std::optional<Bytes> value = std::nullopt);
  // It failed for good. Nothing is checked here: whoever keeps it gives limit_exceeded for a code
  // or message that is too long.
  [[nodiscard]] static Outcome failure(std::string code, std::string message);
  // The digest by which the same completion, sent twice, is recognised.
  [[nodiscard]] Fingerprint digest() const;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// "success", "failure", "timeout", "killed". Never null.
[[nodiscard]] std::string_view to_string(OutcomeKind kind) noexcept;

}  // namespace once
