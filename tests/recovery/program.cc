#include "recovery/program.h"

#include <fmt/format.h>

#include <array>
#include <random>
#include <utility>

namespace once::testing {

using namespace std::chrono_literals;
using Kind = Request::Kind;

Bytes noise(std::uint64_t seed, std::size_t length) {
  std::mt19937_64 random(seed);
  Bytes bytes(length, '\0');
  for (char& byte : bytes) byte = static_cast<char>(static_cast<std::uint8_t>(random()));
  return bytes;
}

namespace {

class Program {
 public:
  std::vector<Call> calls;

  Call& ask(Request request) {
    calls.push_back({.request = std::move(request)});
    return calls.back();
  }
  Request& reserve(const Key& key, OnAbandon on_abandon = OnAbandon::in_doubt) {
    return ask({.kind = Kind::reserve, .key = key, .on_abandon = on_abandon}).request;
  }
  Request& complete(const Key& key, std::size_t bytes) {
    return ask({.kind = Kind::complete, .key = key, .outcome = value(bytes)}).request;
  }
  Request& execute(const Key& key, std::size_t bytes) {
    return ask({.kind = Kind::execute, .key = key, .outcome = value(bytes)}).request;
  }
  Request& transact(const Key& key, std::vector<Step> steps) {
    return ask({.kind = Kind::transact,
                .key = key,
                .outcome = Outcome::success("moved"),
                .steps = std::move(steps)})
        .request;
  }
  Call& with(Kind kind, const Key& key) { return ask({.kind = kind, .key = key}); }
  void checkpoint(const Key& key, const Bytes& name, std::size_t bytes) {
    ask({.kind = Kind::save_checkpoint, .key = key, .name = name, .data = noise(++seed_, bytes)});
  }
  void publish(const Bytes& id, std::size_t bytes, Durability durability = Durability::synced) {
    ask({.kind = Kind::publish,
         .key = "aggregate",
         .durability = durability,
         .name = id,
         .data = noise(++seed_, bytes)});
  }
  void resolve(const Key& key, Verdict verdict) {
    ask({.kind = Kind::resolve,
         .key = key,
         .outcome = verdict == Verdict::failure ? Outcome::failure("no", "it did not")
                                                : Outcome::success("by hand"),
         .verdict = verdict});
  }
  void pass_time(Duration by) { calls.push_back({.kind = Call::Kind::pass_time, .by = by}); }
  void sweep() { with(Kind::sweep, ""); }
  void reopen() { calls.push_back({.kind = Call::Kind::reopen}); }
  Outcome value(std::size_t bytes) { return Outcome::success(noise(++seed_, bytes)); }

 private:
  std::uint64_t seed_ = 0;
};

void by_hand(Program& program, const std::string& round) {
  const Key hand("", "hand", round);
  const Key doubtful("", "doubtful", round);
  program.reserve(hand).fingerprint = Fingerprint::of("question");
  program.reserve(hand);                                           // busy
  program.reserve(hand).fingerprint = Fingerprint::of("another");  // mismatch
  program.checkpoint(hand, "first", 300);
  program.with(Kind::renew, hand).request.lease = 10min;
  program.checkpoint(hand, "second", 3000);
  program.checkpoint(hand, "first", 20);
  program.complete(hand, 500);
  const Request same = program.calls.back().request;
  program.ask(same);          // done already
  program.complete(hand, 7);  // fenced
  program.reserve(hand);      // replay
  program.reserve(doubtful);
  program.with(Kind::doubt, doubtful).request.name = "the line broke";
  program.reserve(doubtful);  // in doubt
  program.with(Kind::complete, doubtful);
  program.resolve(doubtful, Verdict::rerun);
  program.reserve(doubtful);
  program.complete(doubtful, 50).outcome = Outcome::failure("declined", "no");
  program.with(Kind::complete, doubtful).back = 1;  // of the owner before: fenced
}

void abandoned(Program& program, const std::string& round) {
  const Key again("", "again", round);
  const Key never("", "never", round);
  program.reserve(again, OnAbandon::rerun).lease = 1000ms;
  program.reserve(never).lease = 1000ms;
  program.checkpoint(again, "step", 100);
  program.pass_time(2000ms);
  program.reserve(again, OnAbandon::rerun);  // taken over
  program.with(Kind::complete, again).back = 1;
  program.checkpoint(again, "next", 100);
  program.complete(again, 4000);
  program.reserve(never);  // put in doubt
  program.resolve(never, Verdict::success);
  program.with(Kind::load_checkpoints, again);
}

void executions(Program& program, const std::string& round) {
  for (int i = 0; i < 6; ++i) {
    program.execute(Key("acme", "charge", fmt::format("{}-{}", round, i)), i % 2 == 0 ? 30 : 2500);
  }
  program.execute(Key("acme", "charge", round + "-0"), 30);  // replay
  program.execute(Key("acme", "failing", round), 1).work_error = ErrorCode::work_failed;
  program.execute(Key("acme", "failing", round), 1);  // its failure again
  program.execute(Key("acme", "later", round), 1).work_error = ErrorCode::work_retryable;
  program.execute(Key("acme", "later", round), 10);  // the second attempt
  program.execute(Key("acme", "lost", round), 1).work_error = ErrorCode::work_unknown;
}

void transfers(Program& program, const std::string& round) {
  using S = Step::Kind;
  const Key transfer("", "transfer", round);
  program.transact(transfer, {{.kind = S::get, .key = "balance/a", .value = {}},
                              {.kind = S::put, .key = "balance/a", .value = "less " + round},
                              {.kind = S::put, .key = "balance/b", .value = noise(5, 200)},
                              {.kind = S::scan, .key = "balance/", .value = "balance0"},
                              {.kind = S::publish, .key = "event-" + round, .value = noise(6, 400)},
                              {.kind = S::publish, .key = "event-" + round + "'", .value = "x"},
                              {.kind = S::save_checkpoint, .key = "moved", .value = "y"}});
  program.transact(transfer, {{.kind = S::put, .key = "balance/a", .value = "twice"}});  // replay
  program.transact(Key("", "declined", round), {{.kind = S::put, .key = "no", .value = "no"}})
      .work_error = ErrorCode::work_failed;
  program.transact(Key("", "retried", round), {{.kind = S::put, .key = "no", .value = "no"}})
      .work_error = ErrorCode::work_retryable;  // leaves nothing
  program.transact(Key("", "erased", round), {{.kind = S::erase, .key = "balance/b", .value = {}},
                                              {.kind = S::get, .key = "no", .value = {}}});
}

void batches(Program& program, const std::string& round) {
  Request reserve{.kind = Kind::reserve_many};
  Request complete{.kind = Kind::complete_many};
  for (int i = 0; i < 4; ++i) {
    const Key key("batch", "", fmt::format("{}-{}", round, i));
    reserve.many.push_back({.kind = Kind::reserve, .key = key});
    complete.many.push_back(
        {.kind = Kind::complete, .key = key, .outcome = program.value(i == 3 ? 1800 : 40)});
  }
  program.ask(reserve);
  program.ask(reserve);  // all busy
  program.ask(complete);
  program.ask(reserve);  // all replayed
}

void unsynced(Program& program, const std::string& round) {
  for (int i = 0; i < 4; ++i) {
    const Key key("", "buffered", fmt::format("{}-{}", round, i));
    program.execute(key, 700).durability = Durability::buffered;
  }
  program.publish("buffered-" + round, 100, Durability::buffered);
  program
      .transact(Key("", "lazy", round), {{.kind = Step::Kind::put, .key = "lazy", .value = round}})
      .durability = Durability::buffered;
  program.publish("synced-" + round, 900);
}

void gone(Program& program, const std::string& round) {
  const Key brief("", "brief", round);
  const Key released("", "released", round);
  program.execute(brief, 60).retention = 5000ms;
  program.reserve(released);
  program.with(Kind::release, released).request.name = "not now";
  program.with(Kind::remove, Key("acme", "lost", round));
  program.with(Kind::remove, Key("acme", "lost", round));  // nothing is there any more
  program.with(Kind::find, brief);
  program.pass_time(6000ms);
  program.with(Kind::find, brief);  // expired
  program.execute(brief, 61);       // a new life
}

}  // namespace

std::vector<Call> fixed_program() {
  Program program;
  for (const std::string round : {"1", "2", "3"}) {
    by_hand(program, round);
    executions(program, round);
    if (round == "2") program.reopen();
    transfers(program, round);
    abandoned(program, round);
    batches(program, round);
    unsynced(program, round);
    gone(program, round);
    if (round != "2") program.sweep();
  }
  program.reopen();
  unsynced(program, "4");
  return program.calls;
}

std::vector<Call> large_program() {
  Program program;
  program.reserve("large");
  program.reserve("small");
  program.execute("buffered", 3000).durability = Durability::buffered;
  program.complete("large", (std::size_t{2} << 20) + 12'345);
  program.complete("small", 10);
  program.publish("last", 10);
  return program.calls;
}

std::vector<Call> epilogue(const SessionState& state) {
  Program program;
  for (const auto& [key, known] : state.model.live().keys) {
    // A replay, a new attempt, a takeover, or a refusal.
    program.reserve(key);
    if (known->outcome) {
      // Whoever finished it and did not hear of it asks again with the token.
      program.ask({.kind = Kind::complete, .key = key, .outcome = *known->outcome});
    } else {
      program.complete(key, 20).durability = Durability::buffered;
      program.with(Kind::complete, key).back = 1;
    }
  }
  program.transact(Key("", "epilogue", std::to_string(state.lives)),
                   {{.kind = Step::Kind::scan, .key = "a", .value = "z"},
                    {.kind = Step::Kind::put, .key = "epilogue", .value = "yes"}});
  program.publish("epilogue", 10);
  return program.calls;
}

// ---- Any bytes ----------------------------------------------------------------------------------

namespace {

Duration duration_of(std::uint8_t byte) {
  static constexpr std::array<Duration, 4> durations{1000ms, 5min, 24h, Duration(50)};
  return durations[byte % 4];
}

std::size_t size_of(std::uint8_t byte) {
  static constexpr std::array<std::size_t, 8> sizes{0, 1, 20, 100, 700, 4000, 9000, 40'000};
  return sizes[byte % 8];
}

ErrorCode error_of_work(std::uint8_t byte) {
  static constexpr std::array codes{ErrorCode::work_failed, ErrorCode::work_retryable,
                                    ErrorCode::work_unknown, ErrorCode::unsupported};
  return codes[byte % codes.size()];
}

}  // namespace

Key ProgramReader::key() {
  const std::uint8_t number = byte();
  return {owner_, number % 2 == 0 ? "a" : "b", std::to_string(number % 7)};
}

Request ProgramReader::request() {
  // It takes as long as many others.
  constexpr std::uint8_t compact_from = 252;
  static constexpr std::array kinds{Kind::reserve,
                                    Kind::complete,
                                    Kind::execute,
                                    Kind::transact,
                                    Kind::reserve,
                                    Kind::complete,
                                    Kind::execute,
                                    Kind::transact,
                                    Kind::renew,
                                    Kind::release,
                                    Kind::doubt,
                                    Kind::resolve,
                                    Kind::remove,
                                    Kind::save_checkpoint,
                                    Kind::publish,
                                    Kind::reserve_many,
                                    Kind::complete_many,
                                    Kind::find,
                                    Kind::load_checkpoints,
                                    Kind::sweep};
  Request request;
  const std::uint8_t kind = byte();
  request.kind = kind < compact_from ? kinds[kind % kinds.size()] : Kind::compact;
  request.key = key();
  const std::uint8_t how = byte();
  if (how % 3 == 0) request.durability = Durability::buffered;
  if (how % 5 == 0) request.on_abandon = OnAbandon::rerun;
  if (how % 7 < 2) request.fingerprint = Fingerprint::of(how % 7 == 0 ? "one" : "two");
  if (how % 13 < 3) {
    request.fields = {FieldDigest::of("z", "same"), FieldDigest::of("a", how % 13 < 2 ? "1" : "2")};
  }
  request.lease = duration_of(how / 4);
  request.retention = duration_of(how / 16);
  const std::uint64_t number = ++made_;
  request.outcome = Outcome::success(noise(number, size_of(byte())));
  if (request.kind == Kind::complete && how % 11 == 0) {
    request.outcome = Outcome::failure("code", "message");
  }
  const bool works = request.kind == Kind::execute || request.kind == Kind::transact;
  if (works && how % 6 == 0) request.work_error = error_of_work(how / 6);
  request.name = fmt::format("name-{}", number % 5);
  if (request.kind == Kind::publish) request.name = fmt::format("{}event-{}", owner_, number);
  if (request.kind == Kind::save_checkpoint || request.kind == Kind::publish) {
    request.data = noise(number, size_of(how / 32));
  }
  if (request.kind == Kind::resolve) {
    request.verdict = static_cast<Verdict>(how % 3 + 1);
    if (request.verdict == Verdict::failure) request.outcome = Outcome::failure("c", "m");
  }
  if (request.kind == Kind::transact) {
    for (int i = how % 5; i > 0; --i) {
      Step step{.kind = static_cast<Step::Kind>(byte() % 6), .key = {}, .value = {}};
      const std::uint8_t where = byte();
      step.key = fmt::format("{}data-{}", owner_, where % 6);
      step.value = step.kind == Step::Kind::scan ? owner_ + "data-9" : noise(number, where);
      if (step.kind == Step::Kind::publish)
        step.key = fmt::format("{}event-{}-{}", owner_, number, i);
      request.steps.push_back(std::move(step));
    }
  }
  if (request.kind == Kind::reserve_many || request.kind == Kind::complete_many) {
    const Kind each = request.kind == Kind::reserve_many ? Kind::reserve : Kind::complete;
    for (int i = 0; i < how % 4 + 1; ++i) {
      Request one = request;
      one.many.clear();
      one.kind = each;
      one.key = key();
      request.many.push_back(std::move(one));
    }
  }
  return request;
}

Call ProgramReader::ask() {
  const std::size_t back = byte() % 8 == 2 ? 1 : 0;
  return {.request = request(), .back = back};
}

Call ProgramReader::next() {
  const std::uint8_t kind = byte();
  if (kind % 16 == 0) return {.kind = Call::Kind::pass_time, .by = duration_of(kind / 16)};
  return ask();
}

}  // namespace once::testing
