// What is asked of a store, and answered, for people.
#include <fmt/format.h>

#include <string_view>

#include "support/store_difference.h"
#include "support/store_model.h"

namespace once::testing {

bool is_of_the_disk(ErrorCode code) {
  switch (code) {
    case ErrorCode::no_space:
    case ErrorCode::damaged:
    case ErrorCode::io:
    case ErrorCode::unknown:
    case ErrorCode::poisoned:
      return true;
    default:
      return false;
  }
}

std::string Request::describe() const {
  static constexpr std::string_view names[] = {
      "reserve", "complete",     "renew",           "release", "doubt",
      "resolve", "remove",       "save_checkpoint", "execute", "transact",
      "publish", "reserve_many", "complete_many",   "find",    "load_checkpoints",
      "sweep",   "compact"};
  std::string text = fmt::format("{} {}", names[static_cast<std::size_t>(kind)], key.to_string());
  if (token.value != 0) text += fmt::format(" token {}", token.value);
  if (durability == Durability::buffered) text += " buffered";
  if (work_error) text += fmt::format(" work fails: {}", to_string(*work_error));
  if (!many.empty()) text += fmt::format(" x{}", many.size());
  if (!steps.empty()) text += fmt::format(" {} steps", steps.size());
  const auto bytes = outcome.value ? outcome.value->size() : 0;
  if (bytes != 0) text += fmt::format(" {} bytes", bytes);
  return text;
}

std::string Reply::describe() const {
  if (error) return fmt::format("{} ({})", to_string(*error), message);
  std::string text = replayed ? "replayed" : "ok";
  if (token.value != 0) text += fmt::format(" token {} attempt {}", token.value, attempt);
  if (taken_over) text += " taken over";
  if (outcome) text += ", " + text_of(outcome);
  if (yes) text += ", yes";
  if (sequence != 0) text += fmt::format(", sequence {}", sequence);
  return text;
}

}  // namespace once::testing
