// What a coordinator writes down about a transaction: checkpoints of the transaction's key.
//
//   name                data, after a version byte (1)
//   once.tx.plan        4 number of parts; of each: 1 flags (bit 0: saga), 4+n name, 4+n payload
//   once.tx.nonce       16 random bytes
//   once.tx.vote.NAME   4+n what prepare gave
//   once.tx.decision    1 decision (1 commit, 2 abort), 4+n reason
//   once.tx.trouble.NAME  4 failed calls so far, 4+n what the last of them said
//   once.tx.settled.NAME  nothing
//
// All numbers little-endian; 4+n is a length and that many bytes.
//
// Invariants:
//   1. The plan and the nonce are in the commit that reserves the key, and do not change. A key
//      without a plan is no transaction; one without a nonce was begun by a version that had none.
//   2. A decision to commit is synced before anybody is asked to commit, and comes after all votes.
//   3. A saga step's vote is synced before the next participant is asked to prepare.
//   4. Votes, acknowledgements, and the decision to abort are buffered otherwise: what a power cut
//      takes of them is asked for again, or presumed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "once/checkpoint.h"
#include "once/coordinator.h"

namespace once::transaction {

struct PlannedPart {
  std::string participant{};
  bool saga = false;
  Bytes payload{};
  friend bool operator==(const PlannedPart&, const PlannedPart&) = default;
};
using Plan = std::vector<PlannedPart>;

struct Decided {
  bool commit = false;
  std::string reason{};
  friend bool operator==(const Decided&, const Decided&) = default;
};

struct Trouble {
  std::uint32_t failures = 0;
  std::string message{};
  friend bool operator==(const Trouble&, const Trouble&) = default;
};

// What is known of one part.
struct Progress {
  std::optional<Bytes> vote{};
  Trouble trouble{};
  bool settled = false;
};

// A transaction as its checkpoints tell it.
struct Log {
  Plan plan{};
  Bytes nonce{};  // 16 bytes, or none
  std::optional<Decided> decision{};
  std::vector<Progress> progress{};  // in the order of the plan
};

// Checkpoints to be saved.
[[nodiscard]] Checkpoint plan_entry(const Plan& plan);
[[nodiscard]] Checkpoint nonce_entry(const Bytes& nonce);
[[nodiscard]] Checkpoint vote_entry(const std::string& participant, const Bytes& vote);
[[nodiscard]] Checkpoint decision_entry(const Decided& decision);
[[nodiscard]] Checkpoint trouble_entry(const std::string& participant, const Trouble& trouble);
[[nodiscard]] Checkpoint settled_entry(const std::string& participant);

// True for the name of the checkpoint that makes a key a transaction.
[[nodiscard]] bool is_plan(std::string_view checkpoint_name);

// Reads the checkpoints of `key`; those of others are left alone. nullopt when there is no plan.
// Errors: damaged, newer_format.
[[nodiscard]] Result<std::optional<Log>> read_log(const Key& key,
                                                  const std::vector<Checkpoint>& checkpoints);

// By which the same key with other parts is told apart.
[[nodiscard]] Fingerprint fingerprint_of(const Plan& plan);

// Where the transaction stands, by its record and its log.
[[nodiscard]] TransactionReport report_of(const Key& key, const Record& record,
                                          const std::optional<Outcome>& outcome, const Log& log);

// The outcome's code of a transaction that was aborted.
inline constexpr std::string_view aborted_code = "aborted";

}  // namespace once::transaction
