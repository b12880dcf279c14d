#include "scenario.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

namespace once::crash {
namespace {

constexpr Layout layouts[] = {Layout::file, Layout::directory};
constexpr std::size_t budgets[] = {std::size_t{1} << 20, std::size_t{4} << 20,
                                   std::size_t{32} << 20};

std::string text_of(const Error& error) {
  return fmt::format("{}: {}", to_string(error.code), error.message);
}

}  // namespace

std::string worker_program() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "crash_worker";
}

Scenario::Scenario(std::uint64_t seed, std::string directory, Sabotage sabotage,
                   std::optional<Layout> layout)
    : seed_(seed),
      directory_(std::move(directory)),
      sabotage_(sabotage),
      memory_(budgets[seed % std::size(budgets)]),
      layout_(layout.value_or(layouts[seed / std::size(budgets) % std::size(layouts)])),
      random_(seed) {}

void Scenario::run(unsigned kills) {
  for (unsigned i = 0; i < kills && model_.problems().empty(); ++i) {
    live();
    check();
  }
}

Moment Scenario::choose(std::string& mode) {
  using std::chrono::microseconds;
  const auto up_to = [this](std::uint64_t most) {
    return microseconds(static_cast<std::int64_t>(random_() % most));
  };
  const std::uint64_t what = random_() % 100;
  mode = "load";
  if (what < 15) return {.phase = "opening", .delay = up_to(40'000)};
  mode = "close";
  if (what < 25) return {.phase = "closing", .delay = up_to(8'000)};
  mode = "sweep";
  if (what < 37) return {.phase = "sweeping", .delay = up_to(30'000)};
  mode = "backup";
  if (what < 42) return {.phase = "backing", .delay = up_to(150'000)};
  mode = "reopen";
  if (what < 50) return {.phase = "closing", .delay = up_to(60'000)};
  mode = "load";
  return {.phase = "loading", .delay = up_to(120'000)};
}

void Scenario::live() {
  std::string mode;
  const Moment moment = choose(mode);
  live(mode, moment);
}

void Scenario::live(const std::string& mode, const Moment& moment) {
  Victim victim(worker_program(), {store(), directory_ + "/effects", std::to_string(life_),
                                   std::to_string(random_() >> 1), mode, std::to_string(memory_),
                                   std::to_string(static_cast<int>(sabotage_)),
                                   std::to_string(static_cast<int>(layout_))});
  const bool killed = victim.kill_at(moment, [this](const Message& message) {
    model_.take(message);
    if (message.kind != "phase") return;
    if (message.verb == "backing") backups_[message.note] = false;
    if (message.verb == "backed") backups_[message.note] = true;
  });
  if (!killed) model_.problem("the worker ended by itself");
  ++life_;
  ++report_.kills;
  const std::string& phase = victim.phase();
  const bool quiet = phase == "opened" || phase == "swept" || phase == "backed";
  ++report_.phases[quiet ? "loading" : phase];
}

void Scenario::look(bool read_only, const Rows* before, Rows& rows) {
  Options options;
  options.memory_budget = memory_;
  options.layout = layout_;
  options.read_only = read_only;
  auto store = Store::open(this->store(), options);
  if (!store) {
    // Killed before there was a store.
    const bool none_yet =
        read_only && store.error().code == ErrorCode::store_missing && model_.counts().empty();
    if (!none_yet) model_.problem("opening: " + text_of(store.error()));
    return;
  }
  auto read = read_rows(*store);
  if (!read) return model_.problem("reading: " + text_of(read.error()));
  rows = std::move(*read);
  if (before != nullptr && rows != *before) {
    model_.problem("opening again shows other rows: " + first_difference(*before, rows));
  }
  if (read_only) return;
  auto verified = store->verify();
  if (!verified) return model_.problem("verifying: " + text_of(verified.error()));
  report_.rows += verified->rows;
  for (const std::string& problem : verified->problems) model_.problem("verify: " + problem);
  if (auto closed = store->close(); !closed) {
    model_.problem("closing: " + text_of(closed.error()));
  }
}

void Scenario::check() {
  Rows as_read;
  Rows first;
  Rows second;
  look(true, nullptr, as_read);
  look(false, &as_read, first);
  look(false, &first, second);
  model_.check(second, read_effects());
  check_backups();
}

Effects Scenario::read_effects() const {
  Effects effects;
  std::ifstream file(directory_ + "/effects");
  std::string key;
  for (std::uint64_t token = 0; file >> key >> token;) effects[key].push_back(token);
  return effects;
}

void Scenario::check_backups() {
  for (const auto& [path, whole] : backups_) {
    if (whole) {
      auto store = Store::open(path, {.open_timeout_ms = Duration(0)});
      if (!store) {
        model_.problem("opening a backup: " + text_of(store.error()));
        continue;
      }
      auto verified = store->verify();
      const bool clean = verified && verified->problem_count == 0;
      if (!clean) {
        model_.problem("backup: " + (verified ? verified->problems[0] : text_of(verified.error())));
      }
      auto rows = read_rows(*store);
      if (rows) model_.check_copy(*rows, "the backup");
    }
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  backups_.clear();
}

Report Scenario::report() const {
  Report report = report_;
  report.seed = seed_;
  report.problems = model_.problems();
  report.counts = model_.counts();
  return report;
}

}  // namespace once::crash
