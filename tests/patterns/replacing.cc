// Outcomes that are replaced: by newer ones (refresh), and by what has another word in it (merge).
// The world keeps what was acknowledged, and what may have been kept since: what is there is one of
// these, and whole.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <sstream>
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
  retries,
  throws,
  meanwhile,
  unknown
};

Key key_of(const std::string& name) {
  const std::size_t slash = name.find('/');
  return {"", name.substr(0, slash), name.substr(slash + 1)};
}

// What has begun and is lost may be begun again: until there is an outcome, nothing is at stake.
ExecutorOptions options_of() {
  return {.defaults = {.lease = 1min,
                       .heartbeat = false,
                       .retention = 24h * 365,
                       .failure_retention = 24h * 365,
                       .on_abandon = OnAbandon::rerun,
                       .wait = 0ms},
          .resolver = [](const Key&, const Record&) { return Resolution::rerun(); }};
}

// What is kept, "!code" for a failure; nullopt when there is no outcome.
std::optional<Bytes> kept_in(const std::optional<Found>& found) {
  if (!found || !found->outcome) return std::nullopt;
  const Outcome& outcome = *found->outcome;
  return outcome.kind == OutcomeKind::success ? outcome.value.value_or("") : "!" + outcome.code;
}

std::set<std::string> words_of(const Bytes& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

Bytes joined(const Bytes& before, const Bytes& more) {
  return before.empty() || before.starts_with('!') ? more : before + " " + more;
}

// The work itself, where something goes wrong. `value`: as it goes well.
Result<Bytes> worked(Work kind, const Bytes& value) {
  if (kind == Work::fails) return std::unexpected(work_failed("no", "never"));
  if (kind == Work::retries) return std::unexpected(work_retryable("later"));
  if (kind == Work::unknown) return std::unexpected(work_unknown("perhaps"));
  if (kind == Work::throws) throw std::runtime_error("thrown by the work");
  return value;
}

bool is_of_the_work(ErrorCode code) {
  return code == ErrorCode::work_failed || code == ErrorCode::work_retryable ||
         code == ErrorCode::work_unknown;
}

}  // namespace

// `which`: the key. `how`: what becomes of the work (lowest three bits).
void Site::refresh(std::uint8_t which, std::uint8_t how) {
  const std::string name = fmt::format("fresh/{}", which % 3);
  const auto kind = static_cast<Work>(how % 8);
  mood_.stale = false;
  Bytes made;
  Executor executor(*main_, options_of());
  Result<Executed<Bytes>> done = std::unexpected(Error{});
  try {
    done = executor.refresh(key_of(name), [&](const Reservation& mine) {
      change([&](World& world) {
        world.held(mine.key, mine.token);
        Replaced& replaced = world.replaced[name];
        made = fmt::format("{}#{}", name, ++replaced.effects);
        // A failure is kept where there is nothing that it would take the place of.
        const bool first = !replaced.kept;
        if (kind != Work::fails) replaced.perhaps.insert(made);
        if (kind == Work::fails && first) replaced.perhaps.insert("!no");
      });
      if (kind == Work::meanwhile) replace_meanwhile(name, made + "+");
      return worked(kind, made);
    });
  } catch (const std::runtime_error&) {
    heard_ = "threw";
    change([&](World& world) { world.replaced[name].perhaps.erase(made); });
    return;
  }
  take_refreshed(name, made, done);
}

void Site::take_refreshed(const std::string& name, const Bytes& made,
                          const Result<Executed<Bytes>>& done) {
  if (done) {
    heard_ = done->value();
    if (mood_.stale) blame(name + ": a refresh of what was carried out anew is not refused");
    change([&](World& world) {
      Replaced& replaced = world.replaced[name];
      if (done->value() != made || done->replayed()) {
        world.blame(
            fmt::format("{} was refreshed with {}, and is answered {}", name, made, done->value()));
      }
      replaced.kept = made;
      replaced.perhaps.clear();
      replaced.absent = false;
    });
    return;
  }
  const ErrorCode code = done.error().code;
  if (is_of_the_work(code) || code == ErrorCode::fenced) {
    change([&](World& world) { world.replaced[name].perhaps.erase(made); });
  }
  if (code == ErrorCode::fenced && mood_.stale) {
    heard_ = "fenced";
    return;
  }
  hear("refreshing " + name, done.error(),
       {ErrorCode::work_failed, ErrorCode::work_retryable, ErrorCode::work_unknown});
}

void Site::replace_meanwhile(const std::string& name, const Bytes& value) {
  const bool merges = name.starts_with("sum");
  change([&](World& world) {
    if (merges) {
      Merged& merged = world.merged[name];
      merged.perhaps.merge(merged.in);
      merged.perhaps.merge(words_of(value));
      return;
    }
    Replaced& replaced = world.replaced[name];
    if (replaced.kept) replaced.perhaps.insert(*replaced.kept);
    replaced.perhaps.insert(value);
    replaced.kept.reset();
    replaced.absent = true;
  });
  const auto removed = main_->remove(key_of(name));
  if (!removed) return hear("removing " + name, removed.error(), {ErrorCode::busy});
  const auto done = main_->execute(key_of(name), [&] { return value; }, options_of().defaults);
  if (!done) return hear(name + ", anew", done.error(), {});
  if (done->replayed()) return blame(name + " was removed, and is replayed");
  change([&](World& world) {
    if (merges) {
      world.merged[name].in = words_of(value);
      return;
    }
    world.replaced[name].kept = value;
    world.replaced[name].absent = false;
  });
  mood_.stale = !merges;
}

// `which`: the key. `how`: what becomes of the work (lowest three bits).
void Site::merge(std::uint8_t which, std::uint8_t how) {
  const std::string name = fmt::format("sum/{}", which % 3);
  const auto kind = static_cast<Work>(how % 8);
  std::string word;
  change([&](World& world) {
    Merged& merged = world.merged[name];
    word = fmt::format("w{}", merged.calls++);
    merged.perhaps.insert(word);
  });
  Executor executor(*main_, options_of());
  Result<Executed<Bytes>> done = std::unexpected(Error{});
  try {
    done = executor.merge(
        key_of(name),
        [&](const Reservation& mine) -> Result<Bytes> {
          change([&](World& world) { world.held(mine.key, mine.token); });
          if (kind == Work::meanwhile) {
            auto found = main_->find(key_of(name));
            if (!found) return pass(found);
            replace_meanwhile(name, joined(kept_in(*found).value_or(""), word + "+"));
          }
          // Called again where the key was carried out anew meanwhile: by itself, not the work.
          return worked(kind == Work::throws ? Work::well : kind, word);
        },
        [&](const Bytes& before, const Bytes& now) -> Bytes {
          if (kind == Work::throws) throw std::runtime_error("thrown while merging");
          return joined(before, now);
        });
  } catch (const std::runtime_error&) {
    heard_ = "threw";
    change([&](World& world) { world.merged[name].perhaps.erase(word); });
    return;
  }
  take_merged(name, word, done);
}

void Site::take_merged(const std::string& name, const std::string& word,
                       const Result<Executed<Bytes>>& done) {
  if (done) {
    heard_ = done->value();
    change([&](World& world) {
      Merged& merged = world.merged[name];
      const auto words = words_of(done->value());
      if (!words.contains(word)) {
        world.blame(
            fmt::format("{}: {} was merged, and the answer is {}", name, word, done->value()));
      }
      if (!std::ranges::includes(words, merged.in)) {
        world.blame(fmt::format("{}: something is missing in {}", name, done->value()));
      }
      merged.in = words;
      merged.perhaps.clear();
    });
    return;
  }
  if (is_of_the_work(done.error().code)) {
    change([&](World& world) { world.merged[name].perhaps.erase(word); });
  }
  hear("merging " + name, done.error(),
       {ErrorCode::work_failed, ErrorCode::work_retryable, ErrorCode::work_unknown});
}

void Site::check_replaced() {
  for (const auto& [name, replaced] : timeline_.world().replaced) {
    const auto found = main_->find(key_of(name));
    if (!found) {
      hear("finding " + name, found.error(), {});
      continue;
    }
    const std::optional<Bytes> kept = kept_in(*found);
    if (!kept) {
      if (replaced.kept && !replaced.absent) blame("the outcome of " + name + " is lost");
      continue;
    }
    if (kept != replaced.kept && !replaced.perhaps.contains(*kept)) {
      blame(fmt::format("{}: {} is kept, and {} was acknowledged", name, *kept,
                        replaced.kept.value_or("nothing")));
    }
    // What has been shown must stay.
    change([&](World& world) {
      Replaced& now = world.replaced[name];
      now.kept = kept;
      now.perhaps.clear();
      now.absent = false;
    });
  }
}

void Site::check_merged() {
  for (const auto& [name, merged] : timeline_.world().merged) {
    const auto found = main_->find(key_of(name));
    if (!found) {
      hear("finding " + name, found.error(), {});
      continue;
    }
    const Bytes kept = kept_in(*found).value_or("");
    const auto words = kept.starts_with('!') ? std::set<std::string>() : words_of(kept);
    const auto spaces = static_cast<std::size_t>(std::ranges::count(kept, ' '));
    if (!words.empty() && spaces + 1 != words.size()) {
      blame(fmt::format("{}: something was merged twice: {}", name, kept));
    }
    if (!std::ranges::includes(words, merged.in)) {
      blame(fmt::format("{}: something that was acknowledged is missing in {}", name, kept));
    }
    for (const std::string& word : words) {
      if (merged.in.contains(word) || merged.perhaps.contains(word)) continue;
      blame(fmt::format("{}: {} was never merged, and is there", name, word));
    }
    change([&](World& world) {
      world.merged[name].in = words;
      world.merged[name].perhaps.clear();
    });
  }
}

}  // namespace once::testing::patterns
