// Effects in the world outside, around which an Executor stands; and reservations by hand, whose
// owners come late.
#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "patterns/site.h"

namespace once::testing::patterns {

using namespace std::chrono_literals;

namespace {

enum class Work : std::uint8_t {
  well,
  well_too,
  well_again,
  fails,
  retries,
  unknown,
  throws,
  zombie
};

constexpr Duration lease = 1min;

Key key_of(const std::string& name) {
  const std::size_t slash = name.find('/');
  return {"", name.substr(0, slash), name.substr(slash + 1)};
}

// "once/N" must not be run again when it was broken off, "again/N" may.
std::string name_of(std::uint8_t which) {
  return fmt::format("{}/{}", which % 2 == 0 ? "once" : "again", which / 2 % 4);
}

}  // namespace

// `which`: the operation. `how`: what becomes of the work (lowest three bits), and whether somebody
// knows how to find out about what is in doubt (the next one).
void Site::execute(std::uint8_t which, std::uint8_t how) {
  execute(name_of(which), how);
}

void Site::execute(const std::string& name, std::uint8_t how) {
  const Operation before = timeline_.world().operations[name];
  change([&](World& world) {
    world.operations[name].in_doubt = name.starts_with("once");
    world.operations[name].open = true;
  });
  mood_ = {.how = how};
  Executor executor(*main_, executor_options(name, how / 8 % 2 == 1));
  Result<Executed<Bytes>> done = std::unexpected(Error{});
  try {
    done =
        executor.execute(key_of(name), [&](const Reservation& mine) { return work(name, mine); });
  } catch (const std::runtime_error&) {
    mood_ = {};
    heard_ = "threw";
    return;
  }
  if (!std::exchange(mood_, {}).stale) return take_answer(name, before, done);
  heard_ = "fenced";
  const bool refused = !done && (done.error().code == ErrorCode::fenced ||
                                 (options_.may_fail && is_of_the_disk(done.error().code)));
  if (!refused) blame(name + ": the completion of a zombie is not refused");
}

ExecutorOptions Site::executor_options(const std::string& name, bool has_resolver) {
  const bool once = name.starts_with("once");
  ExecutorOptions options{.defaults = {.lease = lease,
                                       .heartbeat = false,
                                       .retention = 24h * 365,
                                       .failure_retention = 24h * 365,
                                       .on_abandon = once ? OnAbandon::in_doubt : OnAbandon::rerun,
                                       .wait = 0ms}};
  if (!has_resolver) return options;
  options.resolver = [this, name](const Key&, const Record&) {
    const int effects = timeline_.world().operations[name].effects;
    return effects > 0 ? Resolution::success(Bytes(fmt::format("{}#{}", name, effects)))
                       : Resolution::rerun();
  };
  return options;
}

Result<Bytes> Site::work(const std::string& name, const Reservation& mine) {
  const auto kind = static_cast<Work>(mood_.how % 8);
  change([&](World& world) { world.held(mine.key, mine.token); });
  if (kind == Work::fails) return std::unexpected(work_failed("no", "never"));
  if (kind == Work::retries) return std::unexpected(work_retryable("later"));
  Bytes result;
  change([&](World& world) { result = world.had_effect(name); });
  if (kind == Work::unknown) return std::unexpected(work_unknown("perhaps"));
  if (kind == Work::throws) throw std::runtime_error("thrown by the work");
  if (kind != Work::zombie) return result;
  // It sleeps past its lease, and somebody else carries the operation out, or finds it in doubt.
  pass_time(2 * lease);
  mood_.how = 0;
  Executor successor(*main_, executor_options(name, mine.token.value % 2 == 0));
  const auto other =
      successor.execute(key_of(name), [&](const Reservation& its) { return work(name, its); });
  mood_.stale = other || other.error().code == ErrorCode::in_doubt;
  if (other) {
    change([&](World& world) { world.operations[name].answer = other->value(); });
  } else {
    hear(name + ", by a successor", other.error(), {ErrorCode::in_doubt});
  }
  return result;
}

void Site::take_answer(const std::string& name, const Operation& before,
                       const Result<Executed<Bytes>>& done) {
  // A failure that is kept is an answer as well.
  const bool kept = done || done.error().code == ErrorCode::work_failed;
  const bool replayed = done ? done->replayed() : done.error().replayed;
  change([&](World& world) {
    Operation& operation = world.operations[name];
    if (!done && done.error().code == ErrorCode::work_retryable) operation.open = false;
    if (!kept) return;
    const Bytes answer = done ? done->value() : "!" + done.error().failure_code;
    if (operation.answer && (*operation.answer != answer || !replayed)) {
      world.blame(fmt::format("{}: {} was acknowledged, and {} is the answer now", name,
                              *operation.answer, answer));
    }
    const Bytes latest = fmt::format("{}#{}", name, operation.effects);
    if (done && answer != latest) {
      world.blame(fmt::format("{}: {} is the answer, and {} happened", name, answer, latest));
    }
    operation.answer = answer;
    operation.open = false;
  });
  if (done) {
    heard_ = done->value() + (replayed ? ", replayed" : "");
    return;
  }
  // Whoever was at it before may have left it in doubt.
  if (before.open && !before.answer && done.error().code == ErrorCode::in_doubt) {
    heard_ = "in doubt";
    return;
  }
  hear(name, done.error(),
       {ErrorCode::work_failed, ErrorCode::work_retryable, ErrorCode::work_unknown});
}

// `which`: the key. `how`: with bit 0 the time of the one before is let pass.
void Site::reserve(std::uint8_t which, std::uint8_t how) {
  const std::string name = fmt::format("hand/{}", which % 3);
  if (how % 2 == 1) pass_time(2 * lease);
  // Until it is heard of: who owned it before may have lost it, or not.
  const Hand before = timeline_.world().hands[name];
  change([&](World& world) { world.hands[name].current.reset(); });
  const auto answer = main_->reserve(
      key_of(name), {.lease = lease, .retention = 24h * 365, .on_abandon = OnAbandon::rerun});
  if (!answer) {
    hear(name, answer.error(), {ErrorCode::busy});
    if (answer.error().code == ErrorCode::busy) {
      change([&](World& world) { world.hands[name].current = before.current; });
    }
    return;
  }
  change([&](World& world) {
    Hand& hand = world.hands[name];
    if (const auto* mine = std::get_if<Reservation>(&*answer)) {
      if (before.done) world.blame(name + " was completed, and is granted again");
      if (before.current) hand.stale.push_back(*before.current);
      for (const Reservation& stale : hand.stale) {
        if (stale.token >= mine->token) world.blame(name + ": a token is not greater than before");
      }
      hand.current = *mine;
      heard_ = "granted";
    } else {
      // Whoever has completed it may do so again.
      hand.current = before.current;
      hand.done = true;
      heard_ = "replayed";
    }
  });
}

Result<void> Site::write_late(const Reservation& mine, std::uint8_t how) {
  switch (how % 8) {
    case 0:
      return main_->fail(mine, "late", "by a zombie");
    case 1: {
      const auto renewed = main_->renew(mine, lease);
      return renewed ? Result<void>{} : std::unexpected(renewed.error());
    }
    case 2:
      return main_->release(mine);
    case 3:
      return main_->doubt(mine);
    case 4:
      return main_->save_checkpoint(mine, "late", "by a zombie");
    default:
      return main_->complete(mine, Outcome::success("late"));
  }
}

void Site::refuses_late(const Reservation& stale, std::uint8_t how) {
  const auto tried = write_late(stale, how);
  const auto code = tried ? ErrorCode{} : tried.error().code;
  if (code == ErrorCode::fenced) return;
  if (!tried && options_.may_fail && is_of_the_disk(code)) return;
  blame(fmt::format("{}: what a zombie tries ({}) is answered {}", stale.key.to_string(), how % 8,
                    tried ? "ok" : to_string(code)));
}

// `which`: the key that was reserved by hand; or, with the highest bit, all that executions, runs
// and transfers have held, in this life or one before. `how`: what is tried (lowest three bits);
// with bit 3 the one that nobody took over from completes its key then.
void Site::late(std::uint8_t which, std::uint8_t how) {
  const World world = timeline_.world();
  if (which >= 128) {
    std::size_t tried = 0;
    for (const auto& [key, tokens] : world.holders) {
      for (const Token token : tokens) {
        if (token == *tokens.rbegin()) continue;
        refuses_late({.key = key, .token = token}, how);
        ++tried;
      }
    }
    heard_ = fmt::format("{} were refused", tried);
    return;
  }
  const std::string name = fmt::format("hand/{}", which % 3);
  const auto at = world.hands.find(name);
  if (at == world.hands.end()) return;
  for (const Reservation& stale : at->second.stale) refuses_late(stale, how);
  heard_ = fmt::format("{} were refused", at->second.stale.size());
  if (how / 8 % 2 == 0 || !at->second.current) return;
  const Reservation mine = *at->second.current;
  const Outcome outcome = Outcome::success(fmt::format("by {}", mine.token.value));
  const auto done = main_->complete(mine, outcome, {.retention = 24h * 365});
  if (!done) return hear(name, done.error(), {});
  change([&](World& now) { now.hands[name].done = true; });
}

}  // namespace once::testing::patterns
