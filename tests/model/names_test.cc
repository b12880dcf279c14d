// The names of enumerations, and reading them back.
#include <doctest/doctest.h>

#include <string>

#include "once/row.h"

namespace once {
namespace {

// All names of `first` to `last`, in order, with a comma after each.
template <class Enum>
std::string names(Enum first, Enum last) {
  std::string all;
  for (int i = static_cast<int>(first); i <= static_cast<int>(last); ++i) {
    all += std::string(to_string(static_cast<Enum>(i))) + ",";
  }
  return all;
}

TEST_CASE("names are those of the headers") {
  CHECK(names(Status::in_progress, Status::released) ==
        "in_progress,completed,failed,in_doubt,released,");
  CHECK(names(OnAbandon::in_doubt, OnAbandon::rerun) == "in_doubt,rerun,");
  CHECK(names(OutcomeKind::success, OutcomeKind::killed) == "success,failure,timeout,killed,");
  CHECK(names(EventStatus::pending, EventStatus::dead) == "pending,delivered,dead,");
  CHECK(names(What::reserved, What::removed) ==
        "reserved,taken_over,completed,failed,released,in_doubt,resolved,removed,");
  CHECK(names(Table::all, Table::data) == "all,keys,results,checkpoints,outbox,history,data,");
}

TEST_CASE("a value out of range has a name too") {
  CHECK(to_string(static_cast<Status>(99)) == "unnamed");
  CHECK(to_string(static_cast<Table>(99)) == "unnamed");
}

TEST_CASE("parse_status reads what to_string wrote, with '-' for '_'") {
  for (int i = 1; i <= 5; ++i) {
    const auto status = static_cast<Status>(i);
    CHECK(parse_status(to_string(status)).value() == status);
  }
  CHECK(parse_status("in-progress").value() == Status::in_progress);
  CHECK(parse_status("in-doubt").value() == Status::in_doubt);
  for (const std::string_view bad : {"", "In_doubt", "in doubt", "done", "completed ", "unnamed"}) {
    const auto status = parse_status(bad);
    REQUIRE_FALSE(status.has_value());
    CHECK(status.error().code == ErrorCode::invalid_argument);
    CHECK(status.error().message.find("in_progress, completed, failed, in_doubt, released") !=
          std::string::npos);
  }
}

TEST_CASE("parse_table reads names, and its error lists them") {
  for (int i = 0; i <= 6; ++i) {
    const auto table = static_cast<Table>(i);
    CHECK(parse_table(to_string(table)).value() == table);
  }
  const auto table = parse_table("rows");
  REQUIRE_FALSE(table.has_value());
  CHECK(table.error().code == ErrorCode::invalid_argument);
  CHECK(table.error().message.find("all, keys, results, checkpoints, outbox, history, data") !=
        std::string::npos);
}

}  // namespace
}  // namespace once
