// Participants whose effects are in a Store: each call is a transaction of its own there.
//
//   prepare   under KEY:prepare: the work, and the row that says "prepared"
//   commit    under ROW:commit: the work, and that row is taken away
//   abort     first under KEY:prepare: a failure, so that no prepare can come any more; then, under
//             ROW:abort, if there is the row: the work, and the row is taken away
//
// KEY names the part, and another transaction may have a part of the same name: of another
// coordinator, or when the first is forgotten. So the nonce and the payload are the question asked
// under KEY:prepare, by which the other one is refused, and ROW is named after the nonce too: what
// is kept of one transaction answers to nobody else, and is in nobody's way. (A transaction without
// a nonce was begun by a version that had none, and used KEY:commit and KEY:abort.)
//
// Invariants:
//   1. The row is there if and only if it is prepared and neither committed nor aborted. It does
//      not expire, so that what is held is released or applied however long that takes.
//   2. Once abort has begun, prepare succeeds no more for as long as what is kept under KEY:prepare
//      is kept, whoever's that is.
#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "once/coordinator.h"
#include "store/limit_checks.h"

namespace once {
namespace {

Bytes row_of(const ParticipantCall& call) {
  Bytes row = "once.step/";
  for (const std::uint8_t byte : Fingerprint::of(call.nonce + call.key.to_string()).digest) {
    row += fmt::format("{:02x}", byte);
  }
  return row;
}

TransactOptions options_of(const StoreParticipantOptions& options) {
  return {.retention = options.retention,
          .failure_retention = options.retention,
          .durability = options.durability};
}

Key prepare_key(const ParticipantCall& call) {
  ParticipantCall prepare = call;
  prepare.ask = Ask::prepare;
  return prepare.key_of_ask();
}

// Of a commit or an abort.
Key settle_key(const ParticipantCall& call) {
  ParticipantCall settle = call;
  if (!call.nonce.empty()) settle.key.id = row_of(call);
  return settle.key_of_ask();
}

std::unexpected<Error> another_one(const ParticipantCall& call) {
  return std::unexpected(work_failed(
      "mismatch",
      fmt::format(
          "{} was asked in another transaction before, of another coordinator, with another "
          "payload, or one that its coordinator has forgotten; nothing was done; use a new "
          "key for each transaction",
          call.key.to_string())));
}

// What the three callables share. A value: each has its own copy.
struct StoreCalls {
  Store* store;
  StoreWork work;
  StoreParticipantOptions options;

  Result<Bytes> prepare(const ParticipantCall& call) const {
    auto prepared = store->transact(
        prepare_key(call),
        [&](Transaction& tx) -> Result<Bytes> {
          auto row = tx.get(row_of(call));
          if (!row) return pass(row);
          if (*row) {
            return fail(ErrorCode::conflict,
                        "{} is prepared already, and the vote is forgotten, since that is longer "
                        "ago than StoreParticipantOptions::retention",
                        call.key.to_string());
          }
          auto vote = work.prepare(tx, call);
          if (!vote) return vote;
          const Bytes told = fmt::format("{} {}", call.token.value, call.key.to_string());
          if (auto put = tx.put(row_of(call), told); !put) return pass(put);
          return vote;
        },
        asked(call));
    if (!prepared && prepared.error().code == ErrorCode::mismatch) return another_one(call);
    if (!prepared) return pass(prepared);
    return prepared->value();
  }

  Result<void> commit(const ParticipantCall& call) const {
    auto committed = store->transact(
        settle_key(call),
        [&](Transaction& tx) -> Result<void> {
          auto row = tx.get(row_of(call));
          if (!row) return pass(row);
          if (!*row) {
            return fail(ErrorCode::not_found,
                        "nothing is prepared under {}: this is not the store that voted yes, or "
                        "it was settled longer ago than StoreParticipantOptions::retention",
                        call.key.to_string());
          }
          if (work.commit) {
            if (auto done = work.commit(tx, call); !done) return not_final(done);
          }
          return tx.erase(row_of(call));
        },
        options_of(options));
    if (!committed) return pass(committed);
    return {};
  }

  Result<void> abort(const ParticipantCall& call) const {
    auto prepared = store->transact(
        prepare_key(call),
        [](Transaction&) -> Result<Bytes> {
          return std::unexpected(
              work_failed("aborted", "it was aborted before it could be prepared"));
        },
        asked(call));
    // A failure, whether ours or the no that was voted: nothing is held, and nothing will be. A
    // mismatch: the name is another one's. If ours was prepared, that answer was kept and
    // forgotten.
    if (!prepared && prepared.error().code != ErrorCode::work_failed &&
        prepared.error().code != ErrorCode::mismatch) {
      return pass(prepared);
    }
    auto aborted = store->transact(
        settle_key(call),
        [&](Transaction& tx) -> Result<void> {
          auto row = tx.get(row_of(call));
          if (!row) return pass(row);
          if (!*row) return {};
          if (auto done = work.abort(tx, call); !done) return not_final(done);
          return tx.erase(row_of(call));
        },
        options_of(options));
    if (!aborted) return pass(aborted);
    return {};
  }

  // What is asked under KEY:prepare.
  TransactOptions asked(const ParticipantCall& call) const {
    TransactOptions asked = options_of(options);
    asked.fingerprint = Fingerprint::of(call.nonce + call.payload);
    return asked;
  }

  // Who voted yes may fail to commit or abort, but not for good: a kept failure would be replayed
  // to every later try.
  static Result<void> not_final(Result<void>& failed) {
    if (failed.error().code == ErrorCode::work_failed) {
      return fail(ErrorCode::work_retryable, "{}: {}", failed.error().failure_code,
                  failed.error().message);
    }
    return pass(failed);
  }
};

Participant participant_of(std::string name, bool saga, StoreCalls calls) {
  const bool whole = calls.work.prepare && calls.work.abort && (calls.work.commit || saga);
  Participant participant{.name = std::move(name), .saga = saga};
  // What is missing stays missing, for add() to tell.
  if (!whole) return participant;
  if (auto checked = check_retention(calls.options.retention); !checked) {
    participant.wrong = std::move(checked.error());
    participant.wrong->message =
        fmt::format("participant {}: {}", participant.name, participant.wrong->message);
  }
  const auto shared = std::make_shared<const StoreCalls>(std::move(calls));
  participant.prepare = [shared](const ParticipantCall& call) { return shared->prepare(call); };
  participant.commit = [shared](const ParticipantCall& call) { return shared->commit(call); };
  participant.abort = [shared](const ParticipantCall& call) { return shared->abort(call); };
  return participant;
}

}  // namespace

Participant store_participant(std::string name, Store& store, StoreWork work,
                              StoreParticipantOptions options) {
  return participant_of(std::move(name), false,
                        {.store = &store, .work = std::move(work), .options = options});
}

Participant store_saga_step(std::string name, Store& store, StoreWork work,
                            StoreParticipantOptions options) {
  return participant_of(std::move(name), true,
                        {.store = &store, .work = std::move(work), .options = options});
}

}  // namespace once
