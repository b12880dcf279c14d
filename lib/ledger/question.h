// Questions: whether a request asks what the record of its key was asked before, and in which
// fields it does not.
//
// A fingerprint is compared with a fingerprint, fields with fields. What only one of the two came
// with is no difference: a record of a program that gave none answers every question.
#pragma once

#include "once/error.h"
#include "once/key.h"
#include "once/options.h"
#include "once/record.h"

namespace once::ledger {

// True when the fingerprints differ, or the fields.
[[nodiscard]] bool asks_differently(const Key& key, const Record& record,
                                    const ReserveOptions& asked);

// What to tell who asks differently; names the fields where both came with some.
[[nodiscard]] std::unexpected<Error> mismatch(const Key& key, const Record& record,
                                              const ReserveOptions& asked);

}  // namespace once::ledger
