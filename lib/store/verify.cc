// verify(): every checksum, every row, and what must hold between the tables.
//
//   1. Every byte on disk agrees with its checksum, and every row decodes.
//   2. A record that is completed or failed has an outcome with its token, retention and digest;
//      no other record has one, and no outcome stands alone.
//   3. No token and no sequence is greater than the openings of the store allow.
//   4. The history row that a record names is its key's newest and tells the record's status, token
//      and attempt.
//   5. A key that history knows as live has a record, unless history says that it was removed, or
//   was
//      switched off meanwhile.
//   6. A checkpoint's token is not greater than its record's.
#include <map>
#include <utility>

#include "base/error.h"
#include "store/store_impl.h"

namespace once {
namespace {

// Tokens and sequences begin with the opening number; see docs/formats.md.
constexpr int counter_bits = 24;
constexpr std::size_t most_listed = 1000;

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
  void check_number(std::string_view what, std::uint64_t number);
  // The record and outcome as they stand; a failure to read is a problem.
  std::optional<Found> find(const Key& key);

  engine::Engine& engine_;
  engine::Reading& reading_;
  const Progress& progress_;
  VerifyReport& report_;
  std::uint64_t opening_ = 0;
  std::uint64_t history_gap_ = 0;
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

void Verifier::check(const Row& row) {
  if (const auto* store = std::get_if<StoreRow>(&row)) {
    opening_ = store->opening;
    history_gap_ = store->history_gap;
  }
  if (const auto* key = std::get_if<KeyRow>(&row)) check_record(key->key, key->record);
  if (const auto* result = std::get_if<ResultRow>(&row)) check_result(*result);
  if (const auto* checkpoint = std::get_if<CheckpointRow>(&row)) check_checkpoint(*checkpoint);
  if (const auto* entry = std::get_if<HistoryEntry>(&row)) check_history(*entry);
  if (const auto* event = std::get_if<Event>(&row)) check_number("an event", event->sequence);
}

void Verifier::check_number(std::string_view what, std::uint64_t number) {
  if (number >> counter_bits <= opening_) return;
  problem(fmt::format("{} has number {}, of opening {}, and the store was opened {} times only",
                      what, number, number >> counter_bits, opening_));
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
  auto entry = reading_.history_at(record.last_history);
  if (!entry) return problem(entry.error().message);
  if (!*entry) return;  // past the retention of history
  const HistoryEntry& last = **entry;
  const bool agrees = last.key == key && last.status == record.status &&
                      last.token == record.token && last.attempt == record.attempt;
  if (agrees) return;
  problem(fmt::format(
      "key {} is {} (token {}, attempt {}), and history row {} tells of key {}: {} "
      "(token {}, attempt {})",
      key.to_string(), to_string(record.status), record.token.value, record.attempt, last.sequence,
      last.key.to_string(), to_string(last.status), last.token.value, last.attempt));
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

void Verifier::check_history(const HistoryEntry& entry) {
  check_number("a history row", entry.sequence);
  if (entry.previous >= entry.sequence) {
    problem(
        fmt::format("history row {} says that {} came before it", entry.sequence, entry.previous));
  }
  // What happened after it may not have been written down.
  if (entry.sequence >> counter_bits <= history_gap_) return;
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
