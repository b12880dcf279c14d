// Transactions over three places: money is taken in the main store, given in the other one, and
// written down by another bank, which is no store and keeps its ledger in the world.
#include <fmt/format.h>

#include <array>
#include <functional>
#include <stdexcept>

#include "base/error.h"
#include "patterns/site.h"

namespace once::testing::patterns {

using namespace std::chrono_literals;

namespace {

enum class Trouble : std::uint8_t {
  none,
  refuses,
  settling,
  ends,
  zombie,
  late_zombie,
  throws,
  repeated
};

constexpr std::array<const char*, 3> parts{"take", "give", "write"};
constexpr Duration lease = 1min;

// How often each of a participant's asks took effect, in one commit with the effect.
Result<void> mark(Transaction& tx, const ParticipantCall& call) {
  const std::string row = "done/" + call.key_of_ask().id;
  auto times = tx.get(row);
  if (!times) return pass(times);
  return tx.put(row, times->value_or("") + "x");
}

}  // namespace

// In every other life it has recovered what was left before anything else happens.
Result<void> Site::open_coordinator() {
  CoordinatorOptions options = coordinator_options();
  if (timeline_.world().lives % 2 == 0) options.self_recovery = SelfRecovery::before_first;
  options.recovered = [this](const Key& key, const Result<TransactionReport>& done) {
    take_transfer(key.id, done);
  };
  auto participants = transfer_participants();
  auto opened = Coordinator::open(*main_, std::move(participants), options);
  if (!opened) return pass(opened);
  coordinator_ = std::make_unique<Coordinator>(std::move(*opened));
  return {};
}

// Whoever is called of the main and the other store, by the coordinator or its successor.
std::vector<Participant> Site::transfer_participants() {
  std::vector<Participant> participants;
  for (const bool saga : {false, true}) {
    for (std::size_t i = 0; i < 2; ++i) {
      Store& store = i == 0 ? *main_ : *other_;
      const StoreWork work{
          .prepare = [](Transaction& tx, const ParticipantCall& call) -> Result<Bytes> {
            if (auto marked = mark(tx, call); !marked) return pass(marked);
            return Bytes("prepared");
          },
          .commit = mark,
          .abort = mark};
      const auto make = saga ? store_saga_step : store_participant;
      Participant inner = make(fmt::format("{}{}", parts[i], saga ? ".saga" : ""), store, work,
                               {.retention = 24h * 365});
      Participant outer = inner;
      outer.prepare = [this, inner](const ParticipantCall& call) {
        return part(call, [&] { return inner.prepare(call); });
      };
      outer.commit = [this, inner](const ParticipantCall& call) {
        return settled(part(call, [&]() -> Result<Bytes> {
          if (auto done = inner.commit(call); !done) return pass(done);
          return Bytes();
        }));
      };
      outer.abort = [this, inner](const ParticipantCall& call) {
        return settled(part(call, [&]() -> Result<Bytes> {
          if (auto done = inner.abort(call); !done) return pass(done);
          return Bytes();
        }));
      };
      participants.push_back(std::move(outer));
    }
  }
  const auto ask = [this](const ParticipantCall& call) {
    return part(call, [&] { return at_other_bank(call); });
  };
  participants.push_back(
      {.name = parts[2],
       .prepare = ask,
       .commit = [ask](const ParticipantCall& call) { return settled(ask(call)); },
       .abort = [ask](const ParticipantCall& call) { return settled(ask(call)); }});
  return participants;
}

Result<void> Site::settled(const Result<Bytes>& answer) {
  if (!answer) return std::unexpected(answer.error());
  return {};
}

// Any call of a participant, with what may go wrong before and after it.
Result<Bytes> Site::part(const ParticipantCall& call, const std::function<Result<Bytes>()>& work) {
  const std::string name = call.transaction.id;
  const bool prepares = call.ask == Ask::prepare;
  change([&](World& world) { world.held(call.transaction, call.token); });
  if (!prepares && !mood_.stale) {
    change([&](World& world) { world.told(name, call.ask == Ask::commit); });
  }
  const bool here = call.participant.starts_with(parts[mood_.at]);
  const auto trouble = here ? static_cast<Trouble>(mood_.how % 8) : Trouble::none;
  if (trouble == Trouble::refuses && prepares) return std::unexpected(work_failed("no", "poor"));
  if (trouble == Trouble::settling && !prepares) return fail(ErrorCode::io, "not now");
  if (trouble == Trouble::throws) throw std::runtime_error("thrown by a participant");
  const bool overtaken = (trouble == Trouble::zombie && prepares) ||
                         (trouble == Trouble::late_zombie && call.ask == Ask::commit);
  // Once before its part, once behind it.
  const bool before = call.token.value % 2 == 0;
  if (overtaken && before) be_overtaken(call.transaction);
  auto answer = work();
  if (overtaken && !before) be_overtaken(call.transaction);
  return answer;
}

// The coordinator sleeps past its lease, and another one ends the transaction.
void Site::be_overtaken(const Key& transaction) {
  if (mood_.stale) return;
  Mood zombies = std::exchange(mood_, {});
  pass_time(2 * lease);
  auto successor = Coordinator::open(*main_, transfer_participants(), coordinator_options());
  if (!successor) return blame(successor.error().message);
  const auto done = successor->recover(transaction);
  if (done) take_transfer(transaction.id, done);
  if (!done) hear(transaction.id + ", by a successor", done.error(), {});
  zombies.stale = done.has_value();
  mood_ = std::move(zombies);
}

// A bank that keeps what a participant has to promise, and refuses whom it knows to be late.
Result<Bytes> Site::at_other_bank(const ParticipantCall& call) {
  Result<Bytes> answer = Bytes("written");
  change([&](World& world) {
    const std::string& name = call.transaction.id;
    Transfer& known = world.transfers[name];
    if (call.token.value < known.highest) {
      answer = fail(ErrorCode::fenced, "somebody took over");
      return;
    }
    known.highest = call.token.value;
    if (call.ask == Ask::prepare) {
      if (known.aborted) answer = std::unexpected(work_failed("aborted", "it was aborted"));
      if (!known.aborted) known.prepared = true;
    } else if (call.ask == Ask::commit) {
      if (!known.prepared || known.aborted) {
        world.blame(fmt::format("transfer {} is to be committed, and {}", name,
                                known.aborted ? "was aborted" : "was not prepared"));
      }
      known.committed = true;
    } else {
      if (known.committed) world.blame(name + " is to be aborted, and was committed");
      known.aborted = true;
    }
  });
  return answer;
}

CoordinatorOptions Site::coordinator_options() {
  return {.lease = lease,
          .heartbeat = false,
          .retention = 24h * 365,
          .settle_timeout = 0ms,
          .wait = 0ms,
          .self_recovery = SelfRecovery::none,
          .observer = [this](const CoordinatorMoment&) {
            if (mood_.moments >= 0 && mood_.moments-- == 0) throw std::runtime_error("ends here");
          }};
}

// `which`: with bit 0 the parts in the stores are steps of a saga; the rest is which part makes
// trouble, or which transfer is asked for again. `how`: the trouble (lowest three bits), and at
// which of its moments the coordinator ends.
void Site::transfer(std::uint8_t which, std::uint8_t how) {
  const World before = timeline_.world();
  const auto trouble = static_cast<Trouble>(how % 8);
  std::string name = fmt::format("t{}", before.made);
  bool saga = which % 2 == 1;
  if (trouble == Trouble::repeated && before.made > 0) {
    const auto at = before.transfers.find(fmt::format("t{}", which / 2 % before.made));
    if (at != before.transfers.end()) {
      name = at->first;
      saga = at->second.saga;
    }
  }
  change([&](World& world) {
    if (!world.transfers.contains(name)) ++world.made;
    world.transfers[name].saga = saga;
  });
  mood_ = {.how = how,
           .at = which / 2U % parts.size(),
           .moments = trouble == Trouble::ends ? how / 8 : -1};
  std::vector<Part> asked;
  for (const char* part : parts) {
    const bool in_store = std::string_view(part) != "write";
    asked.push_back({.participant = fmt::format("{}{}", part, saga && in_store ? ".saga" : ""),
                     .payload = name});
  }
  Result<TransactionReport> done = std::unexpected(Error{});
  bool threw = false;
  try {
    done = coordinator_->run(Key("", "transfer", name), asked);
  } catch (const std::runtime_error&) {
    threw = true;
  }
  const bool stale = std::exchange(mood_, {}).stale;
  if (threw) {
    heard_ = "threw";
    return;
  }
  if (stale) {
    heard_ = "fenced";
    if (!done && done.error().code == ErrorCode::fenced) return;
    const bool disk = !done && options_.may_fail && is_of_the_disk(done.error().code);
    if (!disk) blame("transfer " + name + ": what a zombie writes is not refused");
    return;
  }
  take_transfer(name, done);
}

void Site::take_transfer(const std::string& name, const Result<TransactionReport>& done) {
  if (!done) return hear("transfer " + name, done.error(), {});
  heard_ = to_string(done->state);
  change([&](World& world) {
    Transfer& known = world.transfers[name];
    known.acknowledged = true;
    // What it tells is what its participants were told, and stays so.
    world.told(name, done->commits());
    if (done->state == TransactionState::preparing) world.blame(name + " is not decided");
  });
}

void Site::recover() {
  const auto done = coordinator_->recover_all("/transfer/");
  if (!done) return hear("recovering transfers", done.error(), {});
  for (const auto* reports : {&done->finished, &done->pending}) {
    for (const TransactionReport& report : *reports) take_transfer(report.key.id, report);
  }
  for (const auto& [key, error] : done->failed) hear("transfer " + key.id, error, {});
  heard_ = fmt::format("{} finished, {} pending, {} busy", done->finished.size(),
                       done->pending.size(), done->busy.size());
}

}  // namespace once::testing::patterns
