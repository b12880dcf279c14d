// Random lives of a store with several threads; see random_case.h.
//
// Each thread has keys, events and data of its own and a model of them. However a life ends
// (closed, killed with writes that are not on disk, by a power cut, with a disk that fails or gets
// full before, and with another power cut during recovery), what is found of each thread is one of
// the states that may be; and across threads: a commit that was answered before another one was
// asked for is found if that one is. Once somebody was told of a failed write, nobody's is
// acknowledged.
//
// Besides, all of them carry out the same few keys (one answer for all, which stays), and count in
// one row of data, one transaction each (none is lost, none counts twice).
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "recovery/random_case.h"
#include "recovery/recording.h"

namespace once::testing {

namespace {

constexpr std::size_t thread_count = 3;
constexpr std::string_view counter = "shared/counter";
constexpr std::string_view counted = "shared/counted/";

std::string owner_of(std::size_t thread) {
  return fmt::format("t{}-", thread);
}

// What belongs to one thread.
StoreRows rows_of(const StoreRows& all, const std::string& owner) {
  StoreRows rows{.store = all.store};
  const auto mine = [&](const Key& key) { return key.tenant == owner; };
  for (const auto& [key, record] : all.records) {
    if (mine(key)) rows.records.emplace(key, record);
  }
  for (const auto& [key, result] : all.results) {
    if (mine(key)) rows.results.emplace(key, result);
  }
  for (const auto& [name, checkpoint] : all.checkpoints) {
    if (mine(name.first)) rows.checkpoints.emplace(name, checkpoint);
  }
  for (const Event& event : all.events) {
    if (event.id.starts_with(owner)) rows.events.push_back(event);
  }
  for (const HistoryEntry& entry : all.history) {
    if (mine(entry.key)) rows.history.push_back(entry);
  }
  for (const auto& [key, value] : all.data) {
    if (key.starts_with(owner)) rows.data.emplace(key, value);
  }
  return rows;
}

// One call of a thread, in calls of the device: asked for after `begun` of them, answered before
// number `ended` + 1.
struct Span {
  std::uint64_t begun = 0;
  std::uint64_t ended = 0;
};

// What a thread did since the store was opened.
struct Trace {
  struct Step {
    Span span{};
    SessionState after;
    std::vector<StoreState> begun{};  // commits
    std::uint64_t newest = 0;         // number of the last commit
    bool answered = true;             // not with a failure of the disk
  };
  struct Shared {
    Span span{};
    Key key{};
    Bytes value{};
    bool counts = false;  // as one of the counter's
    bool synced = false;
  };

  std::vector<Step> steps{};
  std::vector<Shared> shared{};
  std::string problem{};
};

class Threads {
 public:
  Threads(std::string_view bytes, CaseCounts& counts, bool told) : counts_(counts), told_(told) {
    const std::size_t part = bytes.size() / thread_count;
    for (std::size_t i = 0; i < thread_count; ++i) {
      readers_.emplace_back(bytes.substr(i * part, part), owner_of(i));
      states_.emplace_back();
    }
  }

  std::string run();

 private:
  // What is there, and what is known of it, to go back to.
  struct Known {
    std::vector<SessionState> states{};
    std::vector<Trace> traces{};
    std::map<Key, Bytes> answers{};
    std::vector<Bytes> counted{};
  };
  enum class Trouble { none, bad_disk, full_disk };

  std::string open(Ending ending);
  std::string restart(const DiskImage& image);
  std::string check_order(const std::vector<std::uint64_t>& found);
  std::string check_shared(const StoreRows& rows);
  void work(std::size_t thread, std::size_t calls);
  std::string ask_shared(Trace& trace, ProgramReader& reader, std::size_t thread);
  std::string check_answers() const;
  void choose_moment(Ending ending);
  Trouble make_trouble();
  std::string end_trouble(Trouble trouble);
  std::string power_cut();
  std::string end_process(Trouble trouble);
  std::string life();
  CrashPlan plan();
  [[nodiscard]] bool may_fail() const { return trouble_ != Trouble::none; }
  // Whether it is a failure of the disk, and may be; remembers those after which nothing may be
  // acknowledged.
  bool is_failure(const std::optional<ErrorCode>& error);
  void say(const std::string& text) const {
    if (told_) std::fprintf(stderr, "%s\n", text.c_str());
  }

  std::vector<ProgramReader> readers_;
  std::vector<SessionState> states_;
  std::vector<Trace> traces_{};
  CaseCounts& counts_;
  const bool told_;
  std::shared_ptr<SimulatedDevice> device_ = std::make_shared<SimulatedDevice>();
  std::unique_ptr<Session> session_;  // opens and closes; its own model is not used
  std::uint64_t cut_at_ = 0;          // calls of the device
  Trouble trouble_ = Trouble::none;
  std::atomic<bool> failure_told_ = false;  // to some thread, in this life
  std::map<Key, Bytes> answers_{};          // of shared keys, that must stay
  std::vector<Bytes> counted_{};            // rows of `counted` that must stay
};

std::string Threads::check_shared(const StoreRows& rows) {
  for (const auto& [key, value] : answers_) {
    const auto found = rows.results.find(key);
    if (found == rows.results.end()) return fmt::format("{} is lost", key.to_string());
    if (found->second.outcome.value != value) {
      return fmt::format("{} has another answer", key.to_string());
    }
  }
  std::uint64_t count = 0;
  for (const auto& [key, value] : rows.data) count += key.starts_with(counted) ? 1 : 0;
  const auto total = rows.data.find(Bytes(counter));
  const std::string is = total == rows.data.end() ? "0" : total->second;
  if (is != std::to_string(count)) {
    return fmt::format("{} transactions are found, and the counter says {}", count, is);
  }
  for (const Bytes& key : counted_) {
    if (!rows.data.contains(key)) return fmt::format("{} is lost", key);
  }
  // What is found stays from now on.
  for (const auto& [key, result] : rows.results) {
    if (key.tenant == "shared") answers_[key] = result.outcome.value.value_or("");
  }
  counted_.clear();
  for (const auto& [key, value] : rows.data) {
    if (key.starts_with(counted)) counted_.push_back(key);
  }
  return "";
}

// `found`: the number of the last commit of each thread that is there.
std::string Threads::check_order(const std::vector<std::uint64_t>& found) {
  std::uint64_t latest = 0;  // when the last of what was found was asked for
  for (std::size_t i = 0; i < traces_.size(); ++i) {
    for (const Trace::Step& step : traces_[i].steps) {
      const bool there = step.answered && !step.begun.empty() && step.newest <= found[i];
      if (there) latest = std::max(latest, step.span.begun);
    }
  }
  for (std::size_t i = 0; i < traces_.size(); ++i) {
    for (const Trace::Step& step : traces_[i].steps) {
      const bool lost = step.answered && !step.begun.empty() && step.newest > found[i];
      if (!lost || step.span.ended >= latest) continue;
      return fmt::format(
          "thread {} lacks its commit {}, which was answered before another one was asked for that "
          "is there",
          i, step.newest);
    }
  }
  return "";
}

std::string Threads::open(Ending ending) {
  ++counts_.openings;
  SessionState own = states_[0];
  session_ = std::make_unique<Session>(device_, own);
  if (auto opened = session_->try_open(ending); !opened)
    return "opening: " + opened.error().message;
  auto rows = read_rows(session_->store());
  if (!rows) return "reading: " + rows.error().message;
  std::vector<std::uint64_t> found;
  for (std::size_t i = 0; i < thread_count; ++i) {
    SessionState& state = states_[i];
    state.now = session_->state().now;
    state.lives = session_->state().lives;
    state.boots = session_->state().boots;
    state.up = session_->state().up;
    for (std::uint32_t pid = 100; pid + 1 < 100 + state.lives; ++pid) {
      state.model.set_liveness(holder(pid), Liveness::dead);
    }
    state.model.set_self(holder(99 + state.lives));
    const std::string problem = state.model.reopen(rows_of(*rows, owner_of(i)), state.now, ending);
    if (!problem.empty()) return fmt::format("thread {}: {}", i, problem);
    found.push_back(state.model.newest());
  }
  if (std::string problem = check_order(found); !problem.empty()) return problem;
  traces_.clear();
  if (std::string problem = check_shared(*rows); !problem.empty()) return problem;
  return session_->verify();
}

bool Threads::is_failure(const std::optional<ErrorCode>& error) {
  if (!error || !is_of_the_disk(*error) || !may_fail()) return false;
  if (*error == ErrorCode::unknown || *error == ErrorCode::poisoned) failure_told_ = true;
  return true;
}

std::string Threads::ask_shared(Trace& trace, ProgramReader& reader, std::size_t thread) {
  bool failed_before = failure_told_;
  Trace::Shared shared{.span = {.begun = device_->calls().total}};
  const std::uint8_t how = reader.byte();
  const Bytes name = fmt::format("{}-{}-{}", states_[0].lives, thread, trace.shared.size());
  Request request{.kind = Request::Kind::execute,
                  .durability = how % 3 == 0 ? Durability::buffered : Durability::synced,
                  .outcome = Outcome::success(name)};
  shared.synced = request.durability == Durability::synced;
  if (how % 2 == 0) {
    request.key = Key("shared", "", std::to_string(how / 2 % 12));
    const Reply reply = perform(session_->store(), request);
    if (reply.error == ErrorCode::busy || reply.error == ErrorCode::in_doubt) return "";
    if (is_failure(reply.error)) return "";
    if (reply.error) return fmt::format("{}: {}", request.describe(), reply.describe());
    // What was finished before is handed out all the same.
    failed_before = failed_before && !reply.replayed;
    shared.key = request.key;
    shared.value = *reply.outcome->value;
    // Who hears a replay knows no more than that it was committed at all.
    shared.synced = shared.synced && !reply.replayed;
  } else {
    shared.counts = true;
    shared.value = Bytes(counted) + name;
    auto done = session_->store().transact(
        Key("counting", "", name),
        [&](Transaction& tx) -> Result<Bytes> {
          auto now = tx.get(counter);
          if (!now) return std::unexpected(now.error());
          const int count = *now ? std::stoi(**now) : 0;
          if (auto put = tx.put(counter, std::to_string(count + 1)); !put) {
            return std::unexpected(put.error());
          }
          if (auto put = tx.put(shared.value, ""); !put) return std::unexpected(put.error());
          return name;
        },
        {.wait = Duration(0), .durability = request.durability});
    if (!done && is_failure(done.error().code)) return "";
    if (!done) return fmt::format("counting: {}", done.error().message);
  }
  if (failed_before) return fmt::format("{} was acknowledged after a failure", name);
  shared.span.ended = device_->calls().total;
  trace.shared.push_back(std::move(shared));
  return "";
}

void Threads::work(std::size_t thread, std::size_t calls) {
  Trace& trace = traces_[thread];
  ProgramReader& reader = readers_[thread];
  Client client(states_[thread]);
  for (std::size_t i = 0; i < calls && trace.problem.empty(); ++i) {
    if (reader.byte() % 4 == 0) {
      trace.problem = ask_shared(trace, reader, thread);
      continue;
    }
    const Call call = reader.ask();
    Trace::Step step{.span = {.begun = device_->calls().total}, .after = client.state()};
    if (failure_told_) client.state().model.poison();
    trace.problem = client.ask(session_->store(), call, may_fail());
    step.answered = !is_failure(client.heard().error);
    step.span.ended = device_->calls().total;
    step.after = client.state();
    step.begun = client.expected().commits;
    step.newest = client.state().model.newest();
    trace.steps.push_back(std::move(step));
  }
}

// What each thread knows at the moment of the end.
void Threads::choose_moment(Ending ending) {
  for (std::size_t i = 0; i < thread_count; ++i) {
    const Trace& trace = traces_[i];
    for (const Trace::Step& step : trace.steps) {
      if (step.span.ended <= cut_at_) {
        states_[i] = step.after;
        continue;
      }
      if (step.span.begun < cut_at_) states_[i].model.may_also(step.begun);
      break;
    }
    for (const Trace::Shared& shared : trace.shared) {
      const bool stays = shared.synced || ending == Ending::process_ended;
      if (!stays || shared.span.ended > cut_at_) continue;
      if (shared.counts) {
        counted_.push_back(shared.value);
      } else {
        answers_[shared.key] = shared.value;
      }
    }
  }
}

CrashPlan Threads::plan() {
  CrashPlan plan{.kind = CrashPlan::Kind::some, .seed = readers_[0].word()};
  if (readers_[0].byte() % 3 == 0) plan.kind = CrashPlan::Kind::none;
  return plan;
}

// All threads hear the same answer to the same question.
std::string Threads::check_answers() const {
  std::map<Key, Bytes> answers = answers_;
  for (std::size_t i = 0; i < thread_count; ++i) {
    counts_.calls += traces_[i].steps.size() + traces_[i].shared.size();
    if (!traces_[i].problem.empty()) {
      return fmt::format("thread {}: {}", i, traces_[i].problem);
    }
    for (const Trace::Shared& shared : traces_[i].shared) {
      if (shared.counts) continue;
      const auto [at, fresh] = answers.emplace(shared.key, shared.value);
      if (!fresh && at->second != shared.value) {
        return fmt::format("{} was answered in two ways", shared.key.to_string());
      }
    }
  }
  return "";
}

Threads::Trouble Threads::make_trouble() {
  using Effect = Fault::Effect;
  ProgramReader& reader = readers_[0];
  const std::uint8_t how = reader.byte();
  if (how % 4 < 2) return Trouble::none;
  if (how % 4 == 2) {
    ++counts_.full_disks;
    device_->set_capacity(device_->image().space() + reader.word() % 4096 * std::uint64_t{16});
    say("the disk gets full");
    return Trouble::full_disk;
  }
  ++counts_.faults;
  Fault fault{.kind = static_cast<CallKind>(reader.byte() % call_kinds),
              .nth = std::uint64_t{1} + reader.byte() % 60,
              .for_ever = how / 4 % 2 == 0,
              .effect = how / 8 % 2 == 0 ? Effect::none_done : Effect::partly,
              .code = how / 16 % 2 == 0 ? ErrorCode::io : ErrorCode::no_space};
  if (how / 32 == 7) fault.kind.reset();
  say(fmt::format("from now on {} {} fails{}", fault.kind ? to_string(*fault.kind) : "call",
                  fault.nth, fault.for_ever ? " and all after it" : ""));
  device_->inject(fault);
  return Trouble::bad_disk;
}

// There is space again: where nobody was told of a failure, writing goes on.
std::string Threads::end_trouble(Trouble trouble) {
  device_->heal();
  device_->set_capacity(SimulatedDevice::default_capacity);
  if (trouble != Trouble::full_disk || failure_told_) return "";
  say("there is space again");
  const Reply reply = perform(
      session_->store(), {.kind = Request::Kind::publish, .key = "shared", .name = "shared/full"});
  return reply.error ? "space again: " + reply.describe() : "";
}

// At any moment while the threads were at work, or at the end.
std::string Threads::power_cut() {
  ++counts_.power_cuts;
  const auto moments = device_->moments();
  const bool at_the_end = readers_[0].byte() % 4 == 0;
  const KeptMoment& kept =
      at_the_end ? moments.back() : moments[readers_[0].word() % moments.size()];
  cut_at_ = at_the_end ? device_->calls().total : kept.calls;
  choose_moment(Ending::power_cut);
  const CrashPlan how = plan();
  say(fmt::format("power cut after call {} of the device, {}", cut_at_, how.describe()));
  const DiskImage image = kept.moment.crash(how);
  session_.reset();
  return restart(image);
}

// Killed or closed; the machine stays up, so that all that was answered is there.
std::string Threads::end_process(Trouble trouble) {
  ProgramReader& reader = readers_[0];
  const bool kill = reader.byte() % 3 != 0;
  cut_at_ = device_->calls().total;
  if (kill && trouble == Trouble::none) {
    // At any moment, with writes that the kernel has and the disk has not.
    const auto moments = device_->moments();
    const KeptMoment& kept = moments[reader.word() % moments.size()];
    cut_at_ = kept.calls;
    say(fmt::format("killed after call {} of the device", cut_at_));
    choose_moment(Ending::process_ended);
    session_.reset();
    device_ = std::make_shared<SimulatedDevice>(kept.moment,
                                                kept.moment.crash({.kind = CrashPlan::Kind::all}));
    return open(Ending::process_ended);
  }
  choose_moment(Ending::process_ended);
  if (kill) {
    // What a failed sync has left is shown still, and not on the disk.
    say("killed");
    auto next = std::make_shared<SimulatedDevice>(device_->moment(), device_->image());
    session_.reset();
    device_ = std::move(next);
    return open(Ending::process_ended);
  }
  say("closed");
  if (auto closed = session_->close(); !closed && !is_failure(closed.error().code)) {
    return "closing: " + closed.error().message;
  }
  return open(Ending::process_ended);
}

std::string Threads::life() {
  traces_.assign(thread_count, {});
  failure_told_ = false;
  const std::size_t calls = 8 + readers_[0].byte() % 32;
  device_->keep_moments();
  trouble_ = make_trouble();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < thread_count; ++i) {
    threads.emplace_back([this, i, calls] { work(i, calls); });
  }
  for (std::thread& thread : threads) thread.join();
  std::string problem = check_answers();
  const bool cut = readers_[0].byte() % 2 == 0;
  if (problem.empty() && cut) {
    problem = power_cut();
  } else if (problem.empty()) {
    problem = end_trouble(trouble_);
    if (problem.empty()) problem = end_process(trouble_);
  }
  trouble_ = Trouble::none;
  return problem;
}

// Opens what a power cut left; now and then the power goes again meanwhile.
std::string Threads::restart(const DiskImage& image) {
  device_ = std::make_shared<SimulatedDevice>(image);
  if (readers_[0].byte() % 4 != 0) return open(Ending::power_cut);
  const auto known = [this] { return Known{states_, traces_, answers_, counted_}; };
  const Known before = known();
  device_->keep_moments();
  if (std::string problem = open(Ending::power_cut); !problem.empty()) {
    return "recovering: " + problem;
  }
  const Known after = known();
  const std::uint64_t opened = device_->calls().total;
  session_.reset();
  const auto moments = device_->moments();
  const KeptMoment& again = moments[readers_[0].word() % moments.size()];
  ++counts_.power_cuts;
  const CrashPlan how = plan();
  say(fmt::format("power cut after call {} of the recovery, {}", again.calls, how.describe()));
  // What has been shown must stay.
  const Known& now = again.calls >= opened ? after : before;
  states_ = now.states;
  traces_ = now.traces;
  answers_ = now.answers;
  counted_ = now.counted;
  device_ = std::make_shared<SimulatedDevice>(again.moment.crash(how));
  return open(Ending::power_cut);
}

std::string Threads::run() {
  std::string problem = open(Ending::power_cut);
  for (int i = 0; i < 3 && problem.empty(); ++i) problem = life();
  if (!problem.empty()) return problem;
  if (auto closed = session_->close(); !closed) return "closing: " + closed.error().message;
  return problem_with_container(device_);
}

}  // namespace

std::string run_threads(std::string_view bytes, CaseCounts& counts, bool told) {
  return Threads(bytes, counts, told).run();
}

}  // namespace once::testing
