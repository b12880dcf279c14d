// The limits of what a store takes, checked before anything is changed.
#pragma once

#include <vector>

#include "once/bytes.h"
#include "once/error.h"
#include "once/event.h"
#include "once/options.h"
#include "once/outcome.h"
#include "once/record.h"

namespace once {

// The reason given with a release or a doubt, and the note of a history row.
inline constexpr std::size_t max_reason_bytes = 4096;

[[nodiscard]] Result<void> check_outcome(const Outcome& outcome, const Options& options);
// A definite failure as an outcome, its texts cut where they are longer than the limits: that it
// failed must be kept, whatever it says.
[[nodiscard]] Outcome failure_outcome(const Error& failure);
[[nodiscard]] Result<void> check_data_key(ByteView key);
[[nodiscard]] Result<void> check_data_value(ByteView value, const Options& options);
[[nodiscard]] Result<void> check_event(const Event& event, const Options& options);
[[nodiscard]] Result<void> check_checkpoint(ByteView name, ByteView data, const Options& options);
[[nodiscard]] Result<void> check_retention(Duration retention);
[[nodiscard]] Result<void> check_reason(std::string_view reason);
// The digests of a question's fields: how many, how long their names, and each name once.
[[nodiscard]] Result<void> check_fields(const std::vector<FieldDigest>& fields);

}  // namespace once
