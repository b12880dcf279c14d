// Questions: whether a request asks what the record of its key was asked before, and in which
// fields it does not.
//
// A fingerprint is compared with a fingerprint, fields with fields. What only one of the two came
// with is no difference: a record of a program that gave none answers every question.
#pragma once

#include <string>
#include <vector>

#include "once/error.h"
#include "once/key.h"
#include "once/options.h"
#include "once/record.h"

namespace once::ledger {

// Two lists of fields held against each other.
struct Difference {
  std::vector<std::string> names{};  // all of them, in byte order
  std::string told{};                // "'amount' differs, 'note' is missing", and how many more
};
// Both are by name, and both bound to the same key or to none.
[[nodiscard]] Difference difference_of(const std::vector<FieldDigest>& kept,
                                       const std::vector<FieldDigest>& asked);

// True when the fingerprints differ, or the fields.
[[nodiscard]] bool asks_differently(const Key& key, const Record& record,
                                    const ReserveOptions& asked);

// What to tell who asks differently; names the fields where both came with some.
[[nodiscard]] std::unexpected<Error> mismatch(const Key& key, const Record& record,
                                              const ReserveOptions& asked);

}  // namespace once::ledger
