// Question: what is asked under a key, so that the same key cannot answer a different question,
// and so that whoever asks a different one is told in which fields it differs. What is kept of it
// are digests, not the question.
//
//   auto question = once::question_of(body_of(request));       // JSON, or Fields
//   if (!question) return refuse(question.error());
//   auto paid = store.execute(key, charge, {.fingerprint = question->fingerprint,
//                                           .fields = question->fields});
//   // paid.error(): "key charge:42 was used for a different question ('amount' differs, ...)"
//   // paid.error().differing_fields: {"amount"}
//
// What can be found out from digests: see FieldDigest in once/record.h.
#pragma once

#include <string_view>
#include <vector>

#include "once/error.h"
#include "once/fields.h"
#include "once/key.h"
#include "once/record.h"

namespace once {

struct Question {
  Fingerprint fingerprint{};          // of the canonical form
  std::vector<FieldDigest> fields{};  // none, when it is no object
};

// The question that a JSON text or Fields ask, without what does not count. It has a digest for
// each member at the top, under its name. As long as there are no more than 64 in all and names
// fit, objects are taken apart, those nearest to the top first, and their members stand for them
// under JSON pointers ("/order/amount"); lists are not. Which digests there are follows from the
// names of members alone, not from their values. Errors: those of canonical_json(); limit_exceeded
// for over 64 members at the top, or a name of over 255 bytes there (leave them out, or use
// Fingerprint::of(canonical_json(...)) alone).
[[nodiscard]] Result<Question> question_of(std::string_view json, const Selection& selection = {});
[[nodiscard]] Result<Question> question_of(const Fields& fields, const Selection& selection = {});

}  // namespace once
