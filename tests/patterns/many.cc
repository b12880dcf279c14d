// Many effects with one call, locks, and effects in stages. Effects are operations of the world, as
// those of execute() are, and are never had twice by any of these.
#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "patterns/site.h"

namespace once::testing::patterns {

using namespace std::chrono_literals;

namespace {

enum class Work : std::uint8_t {
  well,
  well_too,
  well_again,
  fails,
  unknown,
  throws,
  too_few,
  retries
};

Key key_of(const std::string& name) {
  const std::size_t slash = name.find('/');
  return {"", name.substr(0, slash), name.substr(slash + 1)};
}

std::string name_of(const Key& key) {
  return key.operation + "/" + key.id;
}

// Its stages are the operations "pipe.process/N" and "pipe.execute/N".
class Stages final : public Pipeline<Bytes, Bytes, Bytes> {
 public:
  using Work = std::function<Result<Bytes>(const std::string& name, const Reservation& mine)>;

  Stages(Executor& executor, ExecuteOptions options, Work work)
      : Pipeline(executor, std::move(options)), work_(std::move(work)) {}

 protected:
  Result<Bytes> process(const Bytes& input) override { return work_("pipe.process/" + input, {}); }
  Result<Bytes> execute(const Bytes& prepared, const Reservation& mine) override {
    // "pipe.process/N#M"
    if (auto begun = work_("prepared/" + prepared, mine); !begun) return begun;
    return work_("pipe.execute/" + mine.key.id, mine);
  }

 private:
  const Work work_;
};

}  // namespace

// `which`: the policy, as that of execute(), and which keys. `how`: what goes wrong (lowest three
// bits), and with which key.
void Site::batch(std::uint8_t which, std::uint8_t how) {
  const auto kind = static_cast<Work>(how % 8);
  const bool once = which % 2 == 0;
  std::vector<std::string> names;
  std::vector<Key> keys;
  for (unsigned i = 0; i < 4; ++i) {
    if ((which / 2U >> i) % 2 == 0) continue;
    names.push_back(fmt::format("{}/{}", once ? "once" : "again", i));
    keys.push_back(key_of(names.back()));
  }
  const World before = timeline_.world();
  change([&](World& world) {
    for (const std::string& name : names) {
      world.operations[name].in_doubt = once;
      world.operations[name].open = true;
    }
  });
  Executor executor(*main_, executor_options(once ? "once" : "again", false));
  Result<std::vector<Result<Executed<Bytes>>>> done = std::unexpected(Error{});
  try {
    done = executor.execute_many(keys, [&](std::span<const Reservation> mine) {
      std::vector<Result<Bytes>> results;
      Bulk bulk;
      for (std::size_t i = 0; i < mine.size(); ++i) {
        const bool here = i == how / 8U % mine.size();
        results.push_back(batch_work(mine[i], here ? how % 8 : 0));
        if (results.back()) bulk.answers[name_of(mine[i].key)] = *results.back();
      }
      if (kind == Work::throws) throw std::runtime_error("thrown by the work");
      if (kind == Work::too_few) results.pop_back();
      if (kind != Work::too_few) change([&](World& world) { world.bulk = bulk; });
      return results;
    });
  } catch (const std::runtime_error&) {
    heard_ = "threw";
    return;
  }
  if (!done) return hear("a batch", done.error(), {});
  bool heard = true;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Result<Executed<Bytes>>& answer = (*done)[i];
    if (kind == Work::too_few && !answer && answer.error().code == ErrorCode::invalid_argument) {
      continue;
    }
    heard = heard && (answer || !is_of_the_disk(answer.error().code));
    const auto at = before.operations.find(names[i]);
    take_answer(names[i], at == before.operations.end() ? Operation{} : at->second, answer);
  }
  if (heard) change([&](World& world) { world.bulk.reset(); });
}

Result<Bytes> Site::batch_work(const Reservation& mine, std::uint8_t trouble) {
  const auto kind = static_cast<Work>(trouble);
  const std::string name = name_of(mine.key);
  change([&](World& world) { world.held(mine.key, mine.token); });
  if (kind == Work::fails) return std::unexpected(work_failed("no", "never"));
  if (kind == Work::retries) return std::unexpected(work_retryable("later"));
  Bytes result;
  change([&](World& world) { result = world.had_effect(name); });
  if (kind == Work::unknown) return std::unexpected(work_unknown("perhaps"));
  return result;
}

// Of what was to be kept in one commit, and was not heard of, all is there or nothing.
void Site::check_bulk() {
  const auto bulk = timeline_.world().bulk;
  if (!bulk) return;
  std::size_t there = 0;
  for (const auto& [name, answer] : bulk->answers) {
    const auto found = main_->find(key_of(name));
    if (!found) return hear("finding " + name, found.error(), {});
    const bool kept = *found && (*found)->outcome && (*found)->outcome->value == answer;
    there += kept ? 1 : 0;
  }
  if (there != 0 && there != bulk->answers.size()) {
    blame(
        fmt::format("{} of {} that one commit had to keep are there", there, bulk->answers.size()));
  }
  change([&](World& world) { world.bulk.reset(); });
}

// `which`: the lock. `how`: with bit 0 without a sync; and what is done under it.
void Site::lock(std::uint8_t which, std::uint8_t how) {
  const std::string name = fmt::format("l{}", which % 3);
  const bool was_free = timeline_.world().guarded[name].free;
  const LockOptions options{.lease = 1min,
                            .wait = 0ms,
                            .durability = how % 2 == 0 ? Durability::synced : Durability::buffered};
  auto mine = Lock::acquire(*main_, name, options);
  if (!mine) {
    // Whoever had it and has ended without a word is found out.
    const bool held = mine.error().code == ErrorCode::busy && !was_free && options_.may_fail;
    if (!held) hear("lock " + name, mine.error(), {});
    return;
  }
  change([&](World& world) {
    Guarded& guarded = world.guarded[name];
    if (mine->token().value <= guarded.highest) {
      world.blame(fmt::format("lock {} has token {}, and had {}", name, mine->token().value,
                              guarded.highest));
    }
    guarded.highest = mine->token().value;
    guarded.free = false;
    // What a power cut may take back does not make the one before late.
    if (options.durability == Durability::synced) {
      world.held(Key("", lock_operation, name), mine->token());
    }
  });
  const auto second = Lock::try_acquire(*main_, name, options);
  if (second) blame("two hold lock " + name);
  if (!second) hear("lock " + name + ", again", second.error(), {ErrorCode::busy});
  if (how / 2 % 2 == 1) {
    if (auto renewed = mine->renew(); !renewed) hear("renewing " + name, renewed.error(), {});
  }
  const auto given = mine->unlock();
  if (!given) return hear("unlocking " + name, given.error(), {});
  heard_ = "had it";
  change([&](World& world) { world.guarded[name].free = true; });
}

// `which`: the pipeline; of number 1 a stage that was broken off may be run again. `how`: what
// becomes of a stage (lowest three bits), whether somebody knows how to find out about what is in
// doubt (the next one), and which stage.
void Site::pipeline(std::uint8_t which, std::uint8_t how) {
  const std::string id = std::to_string(which % 3);
  const bool again = which % 3 == 1;
  ExecutorOptions options = executor_options(again ? "again" : "once", false);
  if (how / 8 % 2 == 1) {
    options.resolver = [this](const Key& key, const Record&) {
      const std::string name = name_of(key);
      const int effects = timeline_.world().operations[name].effects;
      return effects > 0 ? Resolution::success(Bytes(fmt::format("{}#{}", name, effects)))
                         : Resolution::rerun();
    };
  }
  Executor executor(*main_, options);
  Stages stages(executor, options.defaults, [&](const std::string& name, const Reservation& mine) {
    const bool here = name.starts_with(how / 16 % 2 == 0 ? "pipe.process" : "pipe.execute");
    return stage(name, mine, here ? how % 8 : 0);
  });
  change([&](World& world) {
    for (const char* stage : {"pipe.process/", "pipe.execute/"}) {
      world.operations[stage + id].in_doubt = !again;
    }
    (void)world.pipes[id];
  });
  Result<Executed<Bytes>> done = std::unexpected(Error{});
  try {
    done = stages.run(Key("", "pipe", id), id);
  } catch (const std::runtime_error&) {
    heard_ = "threw";
    return;
  }
  const bool failed = !done && done.error().code == ErrorCode::work_failed;
  if (!done && !failed) {
    return hear("pipe " + id, done.error(), {ErrorCode::work_retryable, ErrorCode::in_doubt});
  }
  heard_ = done ? done->value() : "failed";
  change([&](World& world) {
    PipeLife& pipe = world.pipes[id];
    const Bytes answer = done ? done->value() : "!" + done.error().failure_code;
    Operation& last = world.operations["pipe.execute/" + id];
    const Bytes expected = fmt::format("pipe.execute/{}#{}", id, last.effects);
    if (done && answer != expected) {
      world.blame(fmt::format("pipe {} ends with {}, and it was {}", id, answer, expected));
    }
    if (pipe.answer && pipe.answer != answer) {
      world.blame(fmt::format("pipe {} was answered {}, and now {}", id, *pipe.answer, answer));
    }
    pipe.answer = answer;
    if (done) last.answer = answer;
  });
}

Result<Bytes> Site::stage(const std::string& name, const Reservation& mine, std::uint8_t trouble) {
  const auto kind = static_cast<Work>(trouble);
  if (mine.token.value != 0) change([&](World& world) { world.held(mine.key, mine.token); });
  if (name.starts_with("prepared/")) {
    // The stage before is finished, and what it gave is what it gave at last.
    const Bytes given = name.substr(name.find('/') + 1);
    const std::string before = given.substr(0, given.find('#'));
    change([&](World& world) {
      Operation& operation = world.operations[before];
      if (given != fmt::format("{}#{}", before, operation.effects)) {
        world.blame(
            fmt::format("a stage is given {}, and it was {} times", given, operation.effects));
      }
      operation.answer = given;
      operation.open = false;
    });
    return given;
  }
  change([&](World& world) { world.operations[name].open = true; });
  if (kind == Work::fails) return std::unexpected(work_failed("no", "never"));
  if (kind == Work::retries) return std::unexpected(work_retryable("later"));
  Bytes result;
  change([&](World& world) { result = world.had_effect(name); });
  if (kind == Work::unknown) return std::unexpected(work_unknown("perhaps"));
  if (kind == Work::throws) throw std::runtime_error("thrown by a stage");
  return result;
}

void Site::check_pipes() {
  for (const auto& [id, pipe] : timeline_.world().pipes) {
    if (!pipe.answer) continue;
    const auto found = main_->find(Key("", "pipe", id));
    if (!found) {
      hear("finding pipe " + id, found.error(), {});
      continue;
    }
    if (!*found || !(*found)->outcome) blame("the result of pipe " + id + " is lost");
  }
}

}  // namespace once::testing::patterns
