#include "store/limit_checks.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/utf8.h"
#include "model/fields.h"
#include "once/checkpoint.h"
#include "once/key.h"
#include "once/transaction.h"

namespace once {
namespace {

Result<void> at_most(std::string_view what, std::size_t bytes, std::size_t most) {
  if (bytes <= most) return {};
  return fail(ErrorCode::limit_exceeded, "the {} has {} bytes, and {} are allowed", what, bytes,
              most);
}

}  // namespace

Result<void> check_outcome(const Outcome& outcome, const Options& options) {
  if (outcome.kind < OutcomeKind::success || outcome.kind > OutcomeKind::killed) {
    return fail(ErrorCode::invalid_argument, "the kind of the outcome is none of its four values");
  }
  const std::size_t size = outcome.value ? outcome.value->size() : 0;
  if (size > options.max_outcome_bytes) {
    return fail(
        ErrorCode::limit_exceeded,
        "the outcome has {} bytes, and {} are allowed (Options::max_outcome_bytes); keep it "
        "elsewhere and store a reference",
        size, options.max_outcome_bytes);
  }
  auto checked = at_most("outcome's code", outcome.code.size(), model::max_code_bytes);
  if (!checked) return checked;
  checked =
      at_most("outcome's content type", outcome.content_type.size(), model::max_content_type_bytes);
  if (!checked) return checked;
  return at_most("outcome's message", outcome.message.size(), model::max_message_bytes);
}

Outcome failure_outcome(const Error& failure) {
  Outcome outcome =
      Outcome::failure(std::string(cut_utf8(failure.failure_code, model::max_code_bytes)),
                       std::string(cut_utf8(failure.message, model::max_message_bytes)));
  if (failure.code == ErrorCode::work_timed_out) outcome.kind = OutcomeKind::timeout;
  if (failure.code == ErrorCode::work_killed) outcome.kind = OutcomeKind::killed;
  return outcome;
}

Result<void> check_retention(Duration retention) {
  if (retention >= Duration::zero()) return {};
  return fail(ErrorCode::invalid_argument, "a retention of {} ms is less than none",
              retention.count());
}

Result<void> check_reason(std::string_view reason) {
  return at_most("reason", reason.size(), max_reason_bytes);
}

Result<void> check_fields(const std::vector<FieldDigest>& fields) {
  if (fields.size() > max_question_fields) {
    return fail(ErrorCode::limit_exceeded,
                "the question has {} fields, and a digest of {} is kept at most; choose those that "
                "matter, and let the fingerprint stand for all",
                fields.size(), max_question_fields);
  }
  std::vector<std::string_view> names;
  names.reserve(fields.size());
  for (const FieldDigest& field : fields) {
    auto checked = at_most("name of a field", field.name.size(), max_field_name_bytes);
    if (!checked) return checked;
    names.push_back(field.name);
  }
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice == names.end()) return {};
  return fail(ErrorCode::invalid_argument, "the field '{}' is given twice; name each field once",
              escape(*twice));
}

Result<void> check_data_value(ByteView value, const Options& options) {
  return at_most("value", value.size(), options.max_outcome_bytes);
}

Result<void> check_data_key(ByteView key) {
  if (!key.empty() && key.size() <= max_data_key_bytes) return {};
  return fail(ErrorCode::invalid_argument, "a data key of {} bytes; give 1 to {} bytes", key.size(),
              max_data_key_bytes);
}

Result<void> check_event(const Event& event, const Options& options) {
  constexpr std::size_t max_name = 255;
  for (const std::string* name :
       {&event.id, &event.aggregate_type, &event.aggregate_id, &event.type}) {
    if (name->size() > max_name) {
      return fail(
          ErrorCode::limit_exceeded,
          "id, type, aggregate type and aggregate id of an event have at most {} bytes each",
          max_name);
    }
  }
  std::size_t bytes = event.payload.size();
  for (const auto* pairs : {&event.headers, &event.metadata}) {
    for (const auto& [name, value] : *pairs) bytes += name.size() + value.size();
  }
  if (bytes <= options.max_event_bytes) return {};
  return fail(ErrorCode::limit_exceeded,
              "the event has {} bytes, and {} are allowed (Options::max_event_bytes); publish a "
              "reference to what is larger",
              bytes, options.max_event_bytes);
}

Result<void> check_checkpoint(ByteView name, ByteView data, const Options& options) {
  if (name.empty() || name.size() > max_checkpoint_name_bytes) {
    return fail(ErrorCode::invalid_argument, "a checkpoint's name of {} bytes; give 1 to {} bytes",
                name.size(), max_checkpoint_name_bytes);
  }
  if (data.size() <= options.max_outcome_bytes) return {};
  return fail(ErrorCode::limit_exceeded,
              "the checkpoint has {} bytes, and {} are allowed (Options::max_outcome_bytes)",
              data.size(), options.max_outcome_bytes);
}

}  // namespace once
