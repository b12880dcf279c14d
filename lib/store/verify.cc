// verify(): every checksum, every row, and what must hold between the tables.
//
//   1. Every byte on disk agrees with its checksum, and every row decodes.
//   2. A record that is completed or failed has an outcome with its token, retention and digest;
//      no other record has one, and no outcome stands alone.
//   3. No token and no sequence is greater than the openings of the store allow.
//   4. The history row that a record names is its key's newest and tells the record's status, token
//      and attempt, when its retention ends, and its holder if it was the owner's doing.
//   5. What a history row says that happened fits the status that it left. The row that it says
//   came
//      before it is of the same key, not later in time, and leaves room for it: nothing ends twice
//      under one token.
//   6. A history row that is named is there, unless it is past the retention of history.
//   7. A key that history knows as live has a record, unless history says that it was removed, or
//   was
//      switched off meanwhile.
//   8. A checkpoint's token is not greater than its record's.
//   9. The outbox's cursor hides no event that is pending or dead.
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "ledger/transitions.h"
#include "model/numbers.h"
#include "store/store_impl.h"

namespace once {
namespace {

constexpr std::size_t most_listed = 1000;

// From here on every history row of an opening must be there. Rows of one opening have one
// retention and expire in the order of their times, so that the first one there vouches for the
// later ones: for those behind a row that is this much younger, since two that were committed at
// once may stand the wrong way round.
constexpr auto out_of_order = std::chrono::minutes(1);

// After a power cut the store's time may stand where its last mark stood, which is written along
// with commits and at most this much older than they are.
constexpr auto clock_grain = std::chrono::seconds(1);

struct OpeningHistory {
  Time first{};
  std::uint64_t whole_from = 0;  // a sequence; 0: not known yet
};

// The status that a key has after `what` happened, where there is only one.
std::optional<Status> status_after(What what) {
  switch (what) {
    case What::reserved:
    case What::taken_over:
      return Status::in_progress;
    case What::completed:
      return Status::completed;
    case What::failed:
      return Status::failed;
    case What::released:
      return Status::released;
    case What::in_doubt:
      return Status::in_doubt;
    case What::resolved:
    case What::removed:
      break;
  }
  return std::nullopt;
}

// What only the one who holds the reservation, or who finds it abandoned, can do to it.
bool ends_reservation(What what) {
  return what == What::completed || what == What::failed || what == What::released ||
         what == What::in_doubt;
}

// `once run` and `once lock` of version 0.1.0 wrote the process that was started into the history,
// where the record names the guardian that it forks before anything else.
bool is_front_of(const Holder& front, const Holder& guardian) {
  constexpr std::uint64_t ticks = 100;  // a second
  return front.boot == guardian.boot && front.pid_namespace == guardian.pid_namespace &&
         front.pid < guardian.pid && front.start_time <= guardian.start_time &&
         guardian.start_time - front.start_time <= ticks;
}

class Verifier {
 public:
  Verifier(engine::Engine& engine, engine::Reading& reading, const Progress& progress,
           VerifyReport& report)
      : engine_(engine), reading_(reading), progress_(progress), report_(report) {}

  Result<void> run();

 private:
  void problem(std::string text);
  void check(const Row& row);
  void check_record(const Key& key, const Record& record);
  void check_record_history(const Key& key, const Record& record);
  void check_result(const ResultRow& row);
  void check_checkpoint(const CheckpointRow& row);
  void check_history(const HistoryEntry& entry);
  void check_event(const Event& event);
  void check_previous(const HistoryEntry& entry);
  // Learns from where on history is whole.
  Result<void> look_at_history();
  // Whether the history row `sequence` cannot be gone.
  [[nodiscard]] bool must_be_there(std::uint64_t sequence) const;
  void check_number(std::string_view what, std::uint64_t number);
  // The record and outcome as they stand; a failure to read is a problem.
  std::optional<Found> find(const Key& key);

  engine::Engine& engine_;
  engine::Reading& reading_;
  const Progress& progress_;
  VerifyReport& report_;
  std::uint64_t opening_ = 0;
  std::uint64_t history_gap_ = 0;
  std::uint64_t outbox_from_ = 0;
  std::set<std::uint64_t> left_behind_;
  std::map<std::uint64_t, OpeningHistory> openings_;  // those of which there is history
  // Keys that history left live and that have no record: a later row may say that it was removed.
  std::map<Key, std::uint64_t> missing_;
};

void Verifier::problem(std::string text) {
  ++report_.problem_count;
  if (report_.problems.size() < most_listed) report_.problems.push_back(std::move(text));
}

Result<void> Verifier::run() {
  if (progress_) progress_(0, 0, "checksums");
  auto checked =
      engine_.verify_bytes(progress_, [this](std::string text) { problem(std::move(text)); });
  if (checked) {
    report_.bytes = checked->bytes;
    report_.blocks = checked->blocks;
    report_.blocks_free = checked->blocks_free;
  } else {
    problem(checked.error().message);
  }
  if (auto cursor = reading_.outbox_cursor()) {
    outbox_from_ = cursor->from;
    left_behind_.insert(cursor->left.begin(), cursor->left.end());
  } else {
    problem(cursor.error().message);
  }
  if (auto tallies = engine_.tallies(); !tallies) problem(tallies.error().message);
  if (auto looked = look_at_history(); !looked) return looked;
  auto visited = reading_.rows({.table = Table::all}, [this](const Result<Row>& row) {
    ++report_.rows;
    if (progress_ && report_.rows % 1024 == 0) progress_(report_.rows, 0, "rows");
    if (row) {
      check(*row);
    } else {
      problem(row.error().message);
    }
    return true;
  });
  for (const auto& [key, sequence] : missing_) {
    problem(fmt::format("key {} has no record, and history row {} says that it should have one",
                        key.to_string(), sequence));
  }
  return visited;
}

Result<void> Verifier::look_at_history() {
  if (progress_) progress_(0, 0, "history");
  return reading_.rows({.table = Table::history}, [this](const Result<Row>& row) {
    if (!row) return true;  // told when it is checked
    const auto& entry = std::get<HistoryEntry>(*row);
    auto& opening = openings_[model::opening_of(entry.sequence)];
    if (opening.first == Time{}) opening.first = entry.time;
    const bool first_ever = model::counter_of(entry.sequence) == 1;
    const bool younger = entry.time - opening.first >= out_of_order;
    if (opening.whole_from == 0 && (first_ever || younger)) opening.whole_from = entry.sequence;
    return true;
  });
}

bool Verifier::must_be_there(std::uint64_t sequence) const {
  const std::uint64_t opening = model::opening_of(sequence);
  if (opening <= history_gap_) return false;
  const auto at = openings_.find(opening);
  return at != openings_.end() && at->second.whole_from != 0 && at->second.whole_from < sequence;
}

void Verifier::check(const Row& row) {
  if (const auto* store = std::get_if<StoreRow>(&row)) {
    opening_ = store->opening;
    history_gap_ = store->history_gap;
    check_number("the outbox's cursor", outbox_from_);
  }
  if (const auto* key = std::get_if<KeyRow>(&row)) check_record(key->key, key->record);
  if (const auto* result = std::get_if<ResultRow>(&row)) check_result(*result);
  if (const auto* checkpoint = std::get_if<CheckpointRow>(&row)) check_checkpoint(*checkpoint);
  if (const auto* entry = std::get_if<HistoryEntry>(&row)) check_history(*entry);
  if (const auto* event = std::get_if<Event>(&row)) check_event(*event);
}

void Verifier::check_number(std::string_view what, std::uint64_t number) {
  if (model::opening_of(number) <= opening_) return;
  problem(fmt::format("{} has number {}, of opening {}, and the store was opened {} times only",
                      what, number, model::opening_of(number), opening_));
}

std::optional<Found> Verifier::find(const Key& key) {
  auto found = reading_.find(key);
  if (found) return std::move(*found);
  problem(found.error().message);
  return std::nullopt;
}

void Verifier::check_record(const Key& key, const Record& record) {
  const std::string name = key.to_string();
  if (auto valid = key.validate(); !valid) problem(valid.error().message);
  check_number("key " + name, record.token.value);
  if (record.origin > record.token) {
    problem(fmt::format("key {} has token {} but began with {}", name, record.token.value,
                        record.origin.value));
  }
  const bool keeps = record.status == Status::completed || record.status == Status::failed;
  if (keeps != record.outcome.has_value()) {
    problem(fmt::format("key {} is {} and {} an outcome's digest", name, to_string(record.status),
                        record.outcome ? "has" : "lacks"));
  }
  if (is_finished(record.status) != (record.expires_at != Time{})) {
    problem(fmt::format("key {} is {} and its retention ends at {} ms", name,
                        to_string(record.status), record.expires_at.time_since_epoch().count()));
  }
  if (keeps) {
    const auto found = find(key);
    if (found && found->record.outcome && found->outcome &&
        found->outcome->digest() != *found->record.outcome) {
      problem(fmt::format("the outcome of key {} is not the one that its record tells of", name));
    }
  }
  if (record.last_history != 0) check_record_history(key, record);
}

void Verifier::check_record_history(const Key& key, const Record& record) {
  const std::string name = key.to_string();
  auto entry = reading_.history_at(record.last_history);
  if (!entry) return problem(entry.error().message);
  if (!*entry) {
    if (!must_be_there(record.last_history)) return;
    return problem(
        fmt::format("key {} names history row {}, and there is none", name, record.last_history));
  }
  const HistoryEntry& last = **entry;
  const bool agrees = last.key == key && last.what != What::removed &&
                      last.status == record.status && last.token == record.token &&
                      last.attempt == record.attempt;
  if (!agrees) {
    return problem(fmt::format(
        "key {} is {} (token {}, attempt {}), and history row {} tells of key {}: {} {} "
        "(token {}, attempt {})",
        name, to_string(record.status), record.token.value, record.attempt, last.sequence,
        last.key.to_string(), to_string(last.what), to_string(last.status), last.token.value,
        last.attempt));
  }
  if (is_finished(record.status) && last.deadline != record.expires_at) {
    problem(fmt::format("the retention of key {} ends at {} ms, and history row {} says {} ms",
                        name, record.expires_at.time_since_epoch().count(), last.sequence,
                        last.deadline.time_since_epoch().count()));
  }
  if (ledger::is_by_owner(last.what) && last.holder != record.holder &&
      !is_front_of(last.holder, record.holder)) {
    problem(fmt::format("key {} has the holder {}, and history row {} names {}", name,
                        to_string(record.holder), last.sequence, to_string(last.holder)));
  }
}

void Verifier::check_result(const ResultRow& row) {
  const auto found = find(row.key);
  const bool belongs = found && found->record.outcome && found->record.token >= row.token;
  if (!belongs) {
    problem(fmt::format("the outcome of key {} (token {}) belongs to no record",
                        row.key.to_string(), row.token.value));
    return;
  }
  if (found->record.token == row.token && found->record.expires_at != row.expires_at) {
    problem(
        fmt::format("record and outcome of key {} have different retentions", row.key.to_string()));
  }
}

void Verifier::check_checkpoint(const CheckpointRow& row) {
  const std::string name = row.key.to_string();
  check_number("checkpoint " + row.checkpoint.name + " of key " + name, row.checkpoint.sequence);
  const auto found = find(row.key);
  if (found && row.checkpoint.token > found->record.token) {
    problem(fmt::format("checkpoint {} of key {} has token {}, and the record only {}",
                        row.checkpoint.name, name, row.checkpoint.token.value,
                        found->record.token.value));
  }
}

void Verifier::check_event(const Event& event) {
  check_number("an event", event.sequence);
  if (event.status == EventStatus::delivered || event.sequence > outbox_from_) return;
  if (left_behind_.contains(event.sequence)) return;
  problem(fmt::format(
      "event {} (sequence {}) is {}, and no relay would find it: the outbox is read from {} on",
      event.id, event.sequence, to_string(event.status), outbox_from_));
}

void Verifier::check_history(const HistoryEntry& entry) {
  check_number("a history row", entry.sequence);
  const auto after = status_after(entry.what);
  if (after && *after != entry.status) {
    problem(fmt::format("history row {} says that key {} was {}, and that it is {}", entry.sequence,
                        entry.key.to_string(), to_string(entry.what), to_string(entry.status)));
  }
  if (entry.previous >= entry.sequence) {
    problem(
        fmt::format("history row {} says that {} came before it", entry.sequence, entry.previous));
  } else if (entry.previous != 0) {
    check_previous(entry);
  }
  // What happened after it may not have been written down.
  if (model::opening_of(entry.sequence) <= history_gap_) return;
  if (entry.what == What::removed) {
    missing_.erase(entry.key);
    return;
  }
  const auto found = find(entry.key);
  const bool expired = is_finished(entry.status) && entry.deadline <= reading_.now();
  if (!found && expired) {
    missing_.erase(entry.key);
  } else if (!found) {
    missing_[entry.key] = entry.sequence;
  } else if (found->record.last_history < entry.sequence) {
    problem(fmt::format("key {} names history row {} as its newest, and row {} is newer",
                        entry.key.to_string(), found->record.last_history, entry.sequence));
  }
}

void Verifier::check_previous(const HistoryEntry& entry) {
  auto found = reading_.history_at(entry.previous);
  if (!found) return;  // a row that does not decode is told where it stands
  if (!*found) {
    if (!must_be_there(entry.previous)) return;
    return problem(fmt::format("history row {} says that {} came before it, and there is none",
                               entry.sequence, entry.previous));
  }
  const HistoryEntry& before = **found;
  if (before.key != entry.key) {
    return problem(fmt::format(
        "history row {} is of key {}, and says that {} of key {} came before", entry.sequence,
        entry.key.to_string(), before.sequence, before.key.to_string()));
  }
  if (before.time - entry.time > clock_grain) {
    problem(
        fmt::format("history row {} of key {} is from {} ms, and {}, which came before it, from "
                    "{} ms",
                    entry.sequence, entry.key.to_string(), entry.time.time_since_epoch().count(),
                    before.sequence, before.time.time_since_epoch().count()));
  }
  const bool ended = before.status != Status::in_progress;
  if (ends_reservation(entry.what) && before.token == entry.token && ended) {
    problem(fmt::format("history rows {} and {} end key {} twice under token {}: {} and {}",
                        before.sequence, entry.sequence, entry.key.to_string(), entry.token.value,
                        to_string(before.what), to_string(entry.what)));
  }
}

}  // namespace

Result<VerifyReport> Store::verify(const Progress& progress) {
  auto in_use = impl_->use();
  if (!in_use) return pass(in_use);
  auto reading = impl_->engine->read();
  if (!reading) return pass(reading);
  VerifyReport report;
  Verifier verifier(*impl_->engine, **reading, progress, report);
  if (auto ran = verifier.run(); !ran) return pass(ran);
  return report;
}

}  // namespace once
