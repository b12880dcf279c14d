// Outcomes and the digests by which questions and completions are recognised.
#include "once/outcome.h"

#include <algorithm>
#include <charconv>

#include "base/coding.h"
#include "model/sha256.h"
#include "once/codec.h"
#include "once/key.h"
#include "once/reservation.h"

namespace once {
namespace {

constexpr std::size_t shown_bytes = 40;

Fingerprint first_half(const model::Sha256& digest) {
  Fingerprint fingerprint;
  std::copy_n(digest.begin(), fingerprint.digest.size(), fingerprint.digest.begin());
  return fingerprint;
}

}  // namespace

Fingerprint Fingerprint::of(ByteView question) {
  return first_half(model::sha256({question}));
}

FieldDigest FieldDigest::of(std::string_view name, ByteView value) {
  FieldDigest field{.name = std::string(name)};
  const model::Sha256 digest = model::sha256({value});
  std::copy_n(digest.begin(), field.digest.size(), field.digest.begin());
  return field;
}

Outcome Outcome::success(std::optional<Bytes> value) {
  Outcome outcome;
  outcome.value = std::move(value);
  return outcome;
}

Outcome Outcome::failure(std::string code, std::string message) {
  Outcome outcome;
  outcome.kind = OutcomeKind::failure;
  outcome.code = std::move(code);
  outcome.message = std::move(message);
  return outcome;
}

// Digests of outcomes are stored in records, so what is hashed here is a format (docs/formats.md):
// kind u8, presence of the value u8, omitted_bytes u64, then the lengths u64 of code, message,
// content type and value (0 when there is none), then these four. All numbers little-endian. The
// lengths come first and have a fixed size, so that no two outcomes are hashed as the same bytes.
Fingerprint Outcome::digest() const {
  const ByteView bytes = value ? ByteView(*value) : ByteView();
  Bytes head;
  Writer out(head);
  out.u8(static_cast<std::uint8_t>(kind));
  out.u8(value ? 1 : 0);
  out.u64(omitted_bytes);
  for (const ByteView part : {ByteView(code), ByteView(message), ByteView(content_type), bytes}) {
    out.u64(part.size());
  }
  return first_half(model::sha256({head, code, message, content_type, bytes}));
}

std::string Provenance::execution_id() const {
  std::string digits(16, '0');
  char text[16];
  const auto end = std::to_chars(text, text + sizeof text, token.value, 16).ptr;
  const auto length = static_cast<std::size_t>(end - text);
  digits.replace(digits.size() - length, length, text, length);
  return "exec-" + digits;
}

Error wrong_type(std::string_view type, const std::optional<Bytes>& stored) {
  Error error{.code = ErrorCode::wrong_type, .message = "the stored outcome is not a "};
  error.message += type;
  if (!stored) {
    error.message += ": it is null";
  } else {
    error.message += ": it is '" + escape(ByteView(*stored).substr(0, shown_bytes)) + "'";
    if (stored->size() > shown_bytes) {
      error.message += " and so on, " + std::to_string(stored->size()) + " bytes in all";
    }
  }
  error.message += "; ask for the type that it was stored as";
  return error;
}

}  // namespace once
