// Any bytes as JSON: the canonical form is its own canonical form.
#include <cstddef>
#include <cstdint>

#include "check.h"
#include "once/key.h"
#include "once/question.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  using namespace once::fuzz;
  const ByteView input = view(data, size);
  const auto canonical = canonical_json(input);
  const auto key = content_key(input);
  ONCE_CHECK(key.has_value() == canonical.has_value());
  if (canonical) {
    ONCE_CHECK(key->validate().has_value());
    if (const auto again = canonical_json(*canonical)) {
      ONCE_CHECK(*again == *canonical);
      ONCE_CHECK(content_key(*canonical).value() == *key);
    } else {
      // Beyond 2^53 the one spelling has zeros where the exact integer has digits, and is refused
      // as an integer of its own; see lib/keys/canonical_json.cc.
      ONCE_CHECK(again.error().message.find("exactly") != std::string::npos);
    }
  }
  // A question may have too many fields, or names that are too long, and is JSON otherwise.
  if (const auto question = question_of(input)) {
    ONCE_CHECK(question->fingerprint == Fingerprint::of(canonical.value()));
    ONCE_CHECK(question->fields.size() <= max_question_fields);
    for (const FieldDigest& field : question->fields) {
      ONCE_CHECK(field.name.size() <= max_field_name_bytes);
      // Its name finds it.
      ONCE_CHECK(question_of(input, {.include = {field.name}}).has_value());
    }
  } else {
    ONCE_CHECK(!canonical || question.error().code == ErrorCode::limit_exceeded);
  }
  // The first line as a path to leave out of the rest, and as the one that counts.
  const std::size_t line = input.find(static_cast<char>(10));
  if (line != ByteView::npos) {
    const std::vector<std::string> path{std::string(input.substr(0, line))};
    if (const auto rest = canonical_json(input.substr(line + 1), {.exclude = path})) {
      ONCE_CHECK(*rest != canonical_json(input.substr(line + 1)).value());
    }
    const Selection only{.include = path};
    if (const auto rest = canonical_json(input.substr(line + 1), only)) {
      ONCE_CHECK(canonical_json(*rest, only).value_or(*rest) == *rest);
    }
  }
  return 0;
}
