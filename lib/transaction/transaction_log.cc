#include "transaction/transaction_log.h"

#include <algorithm>

#include "base/coding.h"
#include "base/error.h"
#include "model/checkpoint_codec.h"

namespace once::transaction {
namespace {

constexpr std::uint8_t version = 1;
constexpr std::string_view plan_name = model::plan_checkpoint;
constexpr std::string_view nonce_name = "once.tx.nonce";
constexpr std::size_t nonce_bytes = 16;
constexpr std::string_view decision_name = "once.tx.decision";
constexpr std::string_view vote_prefix = "once.tx.vote.";
constexpr std::string_view trouble_prefix = "once.tx.trouble.";
constexpr std::string_view settled_prefix = "once.tx.settled.";
constexpr std::uint8_t saga_flag = 1;
constexpr std::uint8_t commit_byte = 1;
constexpr std::uint8_t abort_byte = 2;

static_assert(trouble_prefix.size() + max_participant_name_bytes <= max_checkpoint_name_bytes);

template <class Write>
Checkpoint entry(std::string name, Write&& write) {
  Checkpoint checkpoint{.name = std::move(name), .data = {}, .token = {}};
  Writer out(checkpoint.data);
  out.u8(version);
  write(out);
  return checkpoint;
}

std::string joined(std::string_view prefix, std::string_view participant) {
  return std::string(prefix) + std::string(participant);
}

std::unexpected<Error> damaged(const Key& key, std::string_view name) {
  return fail(ErrorCode::damaged,
              "checkpoint {} of the transaction {} is not what a coordinator writes; run `once "
              "verify`, and restore a backup if it finds more",
              name, key.to_string());
}

// Reads one checkpoint with `read`, which sees all of it but the version.
template <class Read>
Result<void> take(const Key& key, const Checkpoint& checkpoint, Read&& read) {
  Reader in(checkpoint.data);
  const std::uint8_t found = in.u8();
  if (in.ok() && found > version) {
    return fail(ErrorCode::newer_format,
                "checkpoint {} of the transaction {} has version {}, and this is a version of Once "
                "that knows {}; use a newer one",
                checkpoint.name, key.to_string(), found, version);
  }
  if (!in.ok() || found != version || !read(in) || !in.done()) {
    return damaged(key, checkpoint.name);
  }
  return {};
}

bool read_plan(Reader& in, Plan& plan) {
  const std::uint32_t count = in.u32();
  if (!in.ok() || count == 0 || count > max_participants) return false;
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    PlannedPart part;
    const std::uint8_t flags = in.u8();
    if (flags > saga_flag) return false;
    part.saga = flags == saga_flag;
    part.participant = in.string();
    part.payload = in.string();
    plan.push_back(std::move(part));
  }
  return in.ok();
}

bool read_decision(Reader& in, Decided& decided) {
  const std::uint8_t byte = in.u8();
  decided.commit = byte == commit_byte;
  decided.reason = in.string();
  return in.ok() && (byte == commit_byte || byte == abort_byte);
}

// Reads what is kept for one participant, if `checkpoint` is of that kind.
Result<void> read_progress(const Key& key, const Checkpoint& checkpoint, Log& log) {
  const auto progress_under = [&](std::string_view prefix) -> Progress* {
    const std::string_view name = checkpoint.name;
    if (!name.starts_with(prefix)) return nullptr;
    const auto at =
        std::ranges::find(log.plan, name.substr(prefix.size()), &PlannedPart::participant);
    return at == log.plan.end() ? nullptr : &log.progress[std::size_t(at - log.plan.begin())];
  };
  if (Progress* of = progress_under(vote_prefix)) {
    return take(key, checkpoint, [&](Reader& in) {
      of->vote = Bytes(in.string());
      return in.ok();
    });
  }
  if (Progress* of = progress_under(trouble_prefix)) {
    return take(key, checkpoint, [&](Reader& in) {
      of->trouble.failures = in.u32();
      of->trouble.message = in.string();
      return in.ok();
    });
  }
  if (Progress* of = progress_under(settled_prefix)) {
    of->settled = true;
    return take(key, checkpoint, [](Reader&) { return true; });
  }
  return {};
}

// What was decided and acknowledged counts. An outcome that somebody else gave the key says nothing
// of the participants.
TransactionState state_of(const Record& record, const Log& log) {
  const bool completed = record.status == Status::completed;
  const bool all = std::ranges::all_of(log.progress, &Progress::settled);
  // Who was not asked has nothing to acknowledge, so that of an abort only the record tells that it
  // is over.
  const bool aborts = !log.decision || !log.decision->commit;
  if (aborts && record.status == Status::failed) return TransactionState::aborted;
  if (!log.decision) {
    return completed && all ? TransactionState::committed : TransactionState::preparing;
  }
  if (!log.decision->commit) return TransactionState::aborting;
  return completed && all ? TransactionState::committed : TransactionState::committing;
}

}  // namespace

Checkpoint plan_entry(const Plan& plan) {
  return entry(std::string(plan_name), [&](Writer& out) {
    out.u32(static_cast<std::uint32_t>(plan.size()));
    for (const PlannedPart& part : plan) {
      out.u8(part.saga ? saga_flag : 0);
      out.string(part.participant);
      out.string(part.payload);
    }
  });
}

Checkpoint nonce_entry(const Bytes& nonce) {
  return entry(std::string(nonce_name), [&](Writer& out) { out.raw(nonce); });
}

Checkpoint vote_entry(const std::string& participant, const Bytes& vote) {
  return entry(joined(vote_prefix, participant), [&](Writer& out) { out.string(vote); });
}

Checkpoint decision_entry(const Decided& decision) {
  return entry(std::string(decision_name), [&](Writer& out) {
    out.u8(decision.commit ? commit_byte : abort_byte);
    out.string(decision.reason);
  });
}

Checkpoint trouble_entry(const std::string& participant, const Trouble& trouble) {
  return entry(joined(trouble_prefix, participant), [&](Writer& out) {
    out.u32(trouble.failures);
    out.string(trouble.message);
  });
}

Checkpoint settled_entry(const std::string& participant) {
  return entry(joined(settled_prefix, participant), [](Writer&) {});
}

bool is_plan(std::string_view checkpoint_name) {
  return checkpoint_name == plan_name;
}

Result<std::optional<Log>> read_log(const Key& key, const std::vector<Checkpoint>& checkpoints) {
  Log log;
  const auto plan = std::ranges::find(checkpoints, plan_name, &Checkpoint::name);
  if (plan == checkpoints.end()) return std::nullopt;
  auto read = take(key, *plan, [&](Reader& in) { return read_plan(in, log.plan); });
  if (!read) return pass(read);
  log.progress.resize(log.plan.size());
  for (const Checkpoint& checkpoint : checkpoints) {
    if (checkpoint.name == decision_name) {
      read = take(key, checkpoint,
                  [&](Reader& in) { return read_decision(in, log.decision.emplace()); });
    } else if (checkpoint.name == nonce_name) {
      read = take(key, checkpoint, [&](Reader& in) {
        log.nonce = Bytes(in.raw(nonce_bytes));
        return in.ok();
      });
    } else {
      read = read_progress(key, checkpoint, log);
    }
    if (!read) return pass(read);
  }
  return log;
}

Fingerprint fingerprint_of(const Plan& plan) {
  return Fingerprint::of(plan_entry(plan).data);
}

TransactionReport report_of(const Key& key, const Record& record,
                            const std::optional<Outcome>& outcome, const Log& log) {
  TransactionReport report{
      .key = key, .state = state_of(record, log), .reason = {}, .token = record.token};
  if (log.decision) {
    report.reason = log.decision->reason;
  } else if (record.status == Status::failed && outcome) {
    report.reason = outcome->message;
  }
  for (std::size_t i = 0; i < log.plan.size(); ++i) {
    const Progress& progress = log.progress[i];
    report.participants.push_back({.name = log.plan[i].participant,
                                   .saga = log.plan[i].saga,
                                   .state = progress.settled ? ParticipantState::settled
                                            : progress.vote  ? ParticipantState::prepared
                                                             : ParticipantState::open,
                                   .payload = log.plan[i].payload,
                                   .vote = progress.vote,
                                   .failures = progress.trouble.failures,
                                   .trouble = progress.trouble.message});
  }
  return report;
}

}  // namespace once::transaction
