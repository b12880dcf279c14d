#include "base/error.h"

namespace once {

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::limit_exceeded:
      return "limit_exceeded";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::mismatch:
      return "mismatch";
    case ErrorCode::busy:
      return "busy";
    case ErrorCode::in_doubt:
      return "in_doubt";
    case ErrorCode::fenced:
      return "fenced";
    case ErrorCode::outcome_omitted:
      return "outcome_omitted";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::conflict:
      return "conflict";
    case ErrorCode::already_done:
      return "already_done";
    case ErrorCode::cancelled:
      return "cancelled";
    case ErrorCode::retry_refused:
      return "retry_refused";
    case ErrorCode::work_failed:
      return "work_failed";
    case ErrorCode::work_not_started:
      return "work_not_started";
    case ErrorCode::work_retryable:
      return "work_retryable";
    case ErrorCode::work_unknown:
      return "work_unknown";
    case ErrorCode::wrong_type:
      return "wrong_type";
    case ErrorCode::work_timed_out:
      return "work_timed_out";
    case ErrorCode::work_killed:
      return "work_killed";
    case ErrorCode::store_locked:
      return "store_locked";
    case ErrorCode::not_a_store:
      return "not_a_store";
    case ErrorCode::newer_format:
      return "newer_format";
    case ErrorCode::permission:
      return "permission";
    case ErrorCode::no_space:
      return "no_space";
    case ErrorCode::damaged:
      return "damaged";
    case ErrorCode::io:
      return "io";
    case ErrorCode::unknown:
      return "unknown";
    case ErrorCode::poisoned:
      return "poisoned";
    case ErrorCode::forked:
      return "forked";
    case ErrorCode::store_missing:
      return "store_missing";
    case ErrorCode::closed:
      return "closed";
  }
  return "unnamed";
}

Error work_failed(std::string failure_code, std::string message) {
  return {.code = ErrorCode::work_failed,
          .message = std::move(message),
          .failure_code = std::move(failure_code)};
}

Error work_not_started(std::string message) {
  return {.code = ErrorCode::work_not_started, .message = std::move(message)};
}

Error work_retryable(std::string message) {
  return {.code = ErrorCode::work_retryable, .message = std::move(message)};
}

Error work_unknown(std::string message) {
  return {.code = ErrorCode::work_unknown, .message = std::move(message)};
}

Error work_timed_out(std::string message) {
  return {.code = ErrorCode::work_timed_out, .message = std::move(message)};
}

Error work_killed(std::string message) {
  return {.code = ErrorCode::work_killed, .message = std::move(message)};
}

}  // namespace once
