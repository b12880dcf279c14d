// The reference model of a store: maps, and the rules of a record's life, with no disk under them.
//
//   StoreModel model;
//   Expected expected = model.ask(request, now, heard);   // what the store must answer, and write
//   model.settle(expected, answer);                       // what the store said instead
//   ...
//   std::string problem = model.reopen(rows, now, Ending::power_cut);   // what was found then
//
// It is written from the rules (docs/architecture.md, "A record's life") and calls nothing of
// lib/ledger. It keeps the state after every commit, so that what is found after a crash can be
// compared with each of them. What must hold:
//   1. The state found is the one after some commit: commits are whole, and none is missing in the
//      middle.
//   2. It is not older than the last commit that was answered ok and synced; and, where only the
//      process ended, than the last one that was answered ok.
//   3. It is not newer than the last commit that was begun. One that was answered with
//      ErrorCode::unknown may be there or not.
//   4. Tokens and sequences are never used twice, and grow.
//
// Numbers that the store gives without telling (sequences, tokens of what was never answered) are 0
// in a state, and taken over from the rows that agree with everything else.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "once/once.h"

namespace once::testing {

// ---- What is asked, and answered ----------------------------------------------------------------

// One thing that a transaction does.
struct Step {
  enum class Kind : std::uint8_t { get, put, erase, scan, publish, save_checkpoint };

  Kind kind = Kind::get;
  Bytes key{};    // publish: the event's id; scan: from there on
  Bytes value{};  // scan: up to there
};

// One call of a store.
struct Request {
  enum class Kind : std::uint8_t {
    reserve,
    complete,  // fail() is one with a failure
    renew,
    release,
    doubt,
    resolve,
    remove,
    save_checkpoint,
    execute,
    transact,
    publish,
    reserve_many,
    complete_many,
    // These write nothing that shows.
    find,
    load_checkpoints,
    sweep,
    compact,
  };

  Kind kind = Kind::reserve;
  Key key{};
  Token token{};  // presented by those that need a reservation
  Durability durability = Durability::synced;
  Duration lease = std::chrono::minutes(5);
  Duration retention = std::chrono::hours(24);
  Duration failure_retention = std::chrono::minutes(5);
  std::optional<Fingerprint> fingerprint{};
  std::vector<FieldDigest> fields{};
  OnAbandon on_abandon = OnAbandon::in_doubt;
  Outcome outcome{};                      // complete, resolve, execute, transact
  std::optional<ErrorCode> work_error{};  // execute, transact: how the work fails
  Verdict verdict = Verdict::success;     // resolve
  Bytes name{};                           // of a checkpoint; id of an event; reason
  Bytes data{};                           // of a checkpoint or an event
  std::vector<Step> steps{};              // transact
  std::vector<Request> many{};            // reserve_many, complete_many

  // For messages.
  [[nodiscard]] std::string describe() const;
};

// What a store answers, or should.
struct Reply {
  std::optional<ErrorCode> error{};  // none: done
  std::string message{};
  bool replayed = false;
  Token token{};  // of a reservation or an outcome; 0: none, or not known
  std::uint32_t attempt = 0;
  Time lease_until{};
  bool taken_over = false;
  std::optional<Outcome> outcome{};
  bool yes = false;            // remove, find: there was something
  std::uint64_t sequence = 0;  // publish
  std::optional<Record> record{};
  std::vector<Checkpoint> checkpoints{};
  std::vector<Bytes> read{};  // by the steps of a transaction
  std::vector<Reply> many{};
  bool worked = false;  // the work of an execute() ran

  [[nodiscard]] std::string describe() const;
};

// True for what a disk does to a call, and not the ledger.
[[nodiscard]] bool is_of_the_disk(ErrorCode code);

// All rows of a store.
struct StoreRows {
  StoreRow store{};
  std::map<Key, Record> records{};
  std::map<Key, ResultRow> results{};
  std::map<std::pair<Key, Bytes>, Checkpoint> checkpoints{};
  std::vector<Event> events{};
  std::vector<HistoryEntry> history{};
  std::map<Bytes, Bytes> data{};

  friend bool operator==(const StoreRows&, const StoreRows&) = default;
};
[[nodiscard]] Result<StoreRows> read_rows(Store& store);

// ---- What there is ------------------------------------------------------------------------------

// A key's record and what belongs to it. Shared between the states that have it.
struct KeyState {
  Record record{};  // last_history does not count here
  std::optional<Outcome> outcome{};
  std::map<Bytes, Checkpoint> checkpoints{};  // of this life of the key
  std::size_t last_history = 0;               // its place in StoreState::history, from 1; 0: none
};
struct HistoryState {
  HistoryEntry entry{};
  std::size_t previous = 0;  // a place in StoreState::history, from 1; 0: none
  bool may_forget = false;   // what was before had expired, and may have been swept
};

struct StoreState {
  std::map<Key, std::shared_ptr<const KeyState>> keys{};
  std::vector<std::shared_ptr<const Event>> events{};
  std::vector<std::shared_ptr<const HistoryState>> history{};
  std::map<Bytes, Bytes> data{};

  // What `rows`, read at `now`, show that this state does not; empty: they are the same.
  [[nodiscard]] std::string difference(const StoreRows& rows, Time now,
                                       Duration history_retention) const;
  // Takes over numbers from rows that agree.
  void learn(const StoreRows& rows, Time now, Duration history_retention);

 private:
  template <class See>
  void each_visible_history(Time now, Duration retention, const See& see) const;
};

// What a request should do: the answer, and the states after each of its commits.
struct Expected {
  Reply reply{};
  std::vector<StoreState> commits{};
};

// How the store was left before it was opened again.
enum class Ending : std::uint8_t {
  process_ended,  // killed, or closed: what was written stays
  power_cut,      // what was not synced may be gone
};

class StoreModel {
 public:
  explicit StoreModel(Duration history_retention = Options{}.history_retention)
      : history_retention_(history_retention), states_(1) {}

  // `heard` is what the store answered, for the numbers in it.
  [[nodiscard]] Expected ask(const Request& request, Time now, const Reply& heard) const;
  // Compares, and takes over what happened. Empty: as it should be.
  std::string settle(const Request& request, const Expected& expected, const Reply& heard);
  // Whether `rows` show none of the states that a power cut may leave; changes nothing.
  [[nodiscard]] std::string differs_from_all(const StoreRows& rows, Time now) const;
  // Finds the state that `rows` show and goes on from there. Empty: there is one that may be.
  std::string reopen(const StoreRows& rows, Time now, Ending ending);
  // Whether `rows` show exactly the latest state.
  [[nodiscard]] std::string difference(const StoreRows& rows, Time now) const {
    return live().difference(rows, now, history_retention_);
  }
  void learn(const StoreRows& rows, Time now) {
    states_[live_].learn(rows, now, history_retention_);
  }

  // Who lives, as the simulated processes have it.
  void set_self(const Holder& self) { self_ = self; }
  void set_liveness(const Holder& who, Liveness liveness) { lives_[who.pid] = liveness; }

  // The state that reads show.
  [[nodiscard]] const StoreState& live() const { return states_[live_]; }
  // Something failed in a way after which nothing may be acknowledged until reopening.
  [[nodiscard]] bool poisoned() const { return poisoned_; }
  void poison() { poisoned_ = true; }

  // These commits were begun after all others, and nobody knows whether they were made.
  void may_also(const std::vector<StoreState>& commits);
  // The number of the latest commit that was begun. After reopen(): of the one that was found.
  [[nodiscard]] std::uint64_t newest() const { return first_ + states_.size() - 1; }
  // How many states may be found.
  [[nodiscard]] std::size_t possible(Ending ending) const {
    return states_.size() - (ending == Ending::power_cut ? 0 : live_);
  }
  [[nodiscard]] const std::set<std::uint64_t>& tokens() const { return tokens_; }

 private:
  std::string heard_token(std::uint64_t token);
  std::string check_numbers(const StoreRows& rows);

  Duration history_retention_;
  Holder self_{};
  std::map<std::uint32_t, Liveness> lives_{};
  // In commit order. The first one is the latest that was synced and answered ok.
  std::deque<StoreState> states_;
  std::uint64_t first_ = 0;  // the number of the first one
  std::size_t live_ = 0;     // the latest that was answered ok
  bool poisoned_ = false;
  std::set<std::uint64_t> tokens_{};  // all that were heard of
  std::uint64_t opening_ = 0;
};

}  // namespace once::testing
