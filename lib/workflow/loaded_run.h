// A run as the store has it: its record and what its checkpoints tell.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "engine/engine.h"
#include "once/report.h"
#include "store/store_impl.h"
#include "workflow/run_rows.h"

namespace once::workflow {

struct LoadedNode {
  NodeRow row{};
  Token token{};
};

struct LoadedRun {
  Time now{};
  std::optional<Found> found{};  // nullopt: there is none, or its retention is over
  bool held = false;             // somebody is at work on it
  std::optional<RunRow> run{};
  std::map<std::string, LoadedNode> nodes{};
  ProgressRow progress{};
  std::uint64_t checkpoint_id = 0;  // sequence of the newest checkpoint
  Time checkpoint_at{};
  // Why its checkpoints cannot be read; then what they tell is missing.
  std::optional<Error> unreadable{};

  // It was begun with an input, which is not there: its process ended before it was kept. Only runs
  // of versions that kept it one commit after the reservation.
  [[nodiscard]] bool lacks_input() const {
    if (!found || run || !found->record.fingerprint) return false;
    const Status status = found->record.status;
    return status == Status::in_progress || status == Status::released;
  }
  // Until when a run that was given back sleeps; nullopt if it does not.
  [[nodiscard]] std::optional<Time> sleeping_until() const;
};

// All of it as of one moment. Errors: damaged, newer_format.
[[nodiscard]] Result<LoadedRun> load_run(Store::Impl& store, const Key& key);
// The same, of a run whose record was read already; says in it what else cannot be.
[[nodiscard]] LoadedRun load_what_can_be(Store::Impl& store, engine::Reading& reading,
                                         const Key& key, const Record& record);

// Whether an error met while reading is of the store as a whole, and not of one run.
[[nodiscard]] inline bool is_of_store(const Error& error) {
  return error.code == ErrorCode::closed || error.code == ErrorCode::forked;
}

// Of a key "tenant/workflow:NAME/ID".
inline constexpr std::string_view operation_prefix = "workflow:";

}  // namespace once::workflow
