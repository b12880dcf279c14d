// The names of enumerations: what messages, JSON and the command line call them.
#include "base/error.h"
#include "once/report.h"
#include "once/row.h"

namespace once {
namespace {

constexpr std::string_view unnamed = "unnamed";

// '-' and '_' mean the same, since a command line is written with the one and JSON with the other.
bool same_name(std::string_view text, std::string_view name) {
  if (text.size() != name.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((text[i] == '-' ? '_' : text[i]) != name[i]) return false;
  }
  return true;
}

// Looks `text` up among the enumerators `first` to `last`. The error lists what there is.
template <class Enum>
Result<Enum> parse_name(std::string_view what, std::string_view text, Enum first, Enum last) {
  std::string names;
  for (int i = static_cast<int>(first); i <= static_cast<int>(last); ++i) {
    const auto candidate = static_cast<Enum>(i);
    if (same_name(text, to_string(candidate))) return candidate;
    if (!names.empty()) names += ", ";
    names += to_string(candidate);
  }
  return fail(ErrorCode::invalid_argument, "there is no {} '{}'; use one of {}", what,
              escape(text.substr(0, 40)), names);
}

}  // namespace

std::string_view to_string(Status status) noexcept {
  switch (status) {
    case Status::in_progress:
      return "in_progress";
    case Status::completed:
      return "completed";
    case Status::failed:
      return "failed";
    case Status::in_doubt:
      return "in_doubt";
    case Status::released:
      return "released";
  }
  return unnamed;
}

std::string_view to_string(KeyStatus status) noexcept {
  if (status == KeyStatus::none) return "none";
  if (status == KeyStatus::expired) return "expired";
  return to_string(static_cast<Status>(status));
}

std::string_view to_string(OnAbandon on_abandon) noexcept {
  switch (on_abandon) {
    case OnAbandon::in_doubt:
      return "in_doubt";
    case OnAbandon::rerun:
      return "rerun";
  }
  return unnamed;
}

std::string_view to_string(OutcomeKind kind) noexcept {
  switch (kind) {
    case OutcomeKind::success:
      return "success";
    case OutcomeKind::failure:
      return "failure";
    case OutcomeKind::timeout:
      return "timeout";
    case OutcomeKind::killed:
      return "killed";
  }
  return unnamed;
}

std::string_view to_string(EventStatus status) noexcept {
  switch (status) {
    case EventStatus::pending:
      return "pending";
    case EventStatus::delivered:
      return "delivered";
    case EventStatus::dead:
      return "dead";
  }
  return unnamed;
}

std::string_view to_string(What what) noexcept {
  switch (what) {
    case What::reserved:
      return "reserved";
    case What::taken_over:
      return "taken_over";
    case What::completed:
      return "completed";
    case What::failed:
      return "failed";
    case What::released:
      return "released";
    case What::in_doubt:
      return "in_doubt";
    case What::resolved:
      return "resolved";
    case What::removed:
      return "removed";
  }
  return unnamed;
}

std::string_view to_string(Table table) noexcept {
  switch (table) {
    case Table::all:
      return "all";
    case Table::keys:
      return "keys";
    case Table::results:
      return "results";
    case Table::checkpoints:
      return "checkpoints";
    case Table::outbox:
      return "outbox";
    case Table::history:
      return "history";
    case Table::data:
      return "data";
  }
  return unnamed;
}

Result<Status> parse_status(std::string_view text) {
  return parse_name("status", text, Status::in_progress, Status::released);
}

Result<Table> parse_table(std::string_view name) {
  return parse_name("table", name, Table::all, Table::data);
}

}  // namespace once
