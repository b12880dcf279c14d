#include "comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <memory>

#include "report/machine.h"
#include "worker.h"
#include "workloads/workload.h"

namespace once::bench {
namespace {

volatile std::sig_atomic_t interrupted = 0;

void note_interrupt(int) {
  interrupted = 1;
}

class Comparison {
 public:
  explicit Comparison(const Settings& settings) : settings_(settings), scratch_(settings.folder) {
    results_.machine = machine_text();
    results_.disk = disk_text(scratch_.path());
    results_.date = date_text();
    results_.rounds = settings.rounds;
    results_.seconds = settings.seconds;
    results_.keys = settings.finished;
    std::filesystem::permissions(scratch_.path(), std::filesystem::perms(0711));  // for servers
    stage_.folder = scratch_.path() / "beside";
    std::filesystem::create_directories(stage_.folder);
    std::filesystem::permissions(stage_.folder, std::filesystem::perms(0711));
    stage_.tool = settings.tool;
    stage_.keys = settings.finished;
    stage_.commit_bytes = commit_bytes(scratch_.path() / "sized");
    results_.floor_bytes = stage_.commit_bytes;
  }

  Results run() {
    choose_workloads();
    start_rivals();
    for (int round = 0; round < settings_.rounds; ++round) {
      say(fmt::format("round {} of {}", round + 1, settings_.rounds));
      for (const Workload* workload : workloads_) {
        progress(fmt::format("round {} of {}: {}", round + 1, settings_.rounds, workload->name()));
        run_beside(*workload, round);
        run_rivals(*workload, round);
      }
    }
    say("checking what is left");
    for (auto& worker : workers_) worker->ask({{"do", "check"}});
    for (auto& worker : workers_) worker->close();
    for (const auto& [rival, why] : stage_.left_out) results_.left_out.push_back({rival, "", why});
    std::erase_if(results_.rows, [](const Row& row) { return row.samples.empty(); });
    sort_rows();
    return std::move(results_);
  }

 private:
  void say(const std::string& text) const {
    if (interrupted != 0) throw std::runtime_error("interrupted");
    fmt::print(stderr, "once-bench: {}\n", text);
  }

  // A line that the next one replaces, where somebody looks.
  void progress(const std::string& text) const {
    if (interrupted != 0) throw std::runtime_error("interrupted");
    if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "once-bench: {:<60}\r", text);
  }

  void choose_workloads() {
    for (const Workload& workload : all_workloads()) {
      const bool named = contains(settings_.only, workload.id);
      // The floor is measured in every run.
      const bool wanted = settings_.only.empty() || named || workload.id == "F";
      if (!wanted) continue;
      if (workload.takes_long && !settings_.long_ones && !named) {
        if (left_for_long_.empty() || left_for_long_.back() != workload.id) {
          left_for_long_.push_back(workload.id);
          results_.left_out.push_back({"all", workload.id, "it takes long; see --long"});
        }
        continue;
      }
      workloads_.push_back(&workload);
    }
  }

  [[nodiscard]] bool takes_part(const std::string& rival) const {
    if (!settings_.rivals.empty()) {
      // The variants of Once go with it.
      const std::string name = rival.starts_with("once") ? "once" : rival;
      if (!contains(settings_.rivals, name)) return false;
    }
    return std::ranges::any_of(workloads_, [&](const Workload* w) { return w->takes(rival); });
  }

  void start_rivals() {
    for (const Make& make : all_rivals()) {
      if (settings_.rivals.empty() || contains(settings_.rivals, make.name)) {
        if (make.open) stage_.rivals.push_back(make.name);
      }
      if (!takes_part(make.name)) continue;
      if (!make.open) {
        results_.left_out.push_back({make.name, "", make.missing});
        continue;
      }
      say(fmt::format("filling {} with {} keys", make.name, settings_.finished));
      auto worker = std::make_unique<Worker>(make.name, scratch_.path() / make.name);
      try {
        worker->ask({{"do", "open"}, {"keys", settings_.finished}});
      } catch (const std::exception& error) {
        if (make.name.starts_with("once")) throw;
        results_.left_out.push_back({make.name, "", error.what()});
        std::erase(stage_.rivals, make.name);
        continue;
      }
      worker->ask({{"do", "fill"}, {"begin", 0}, {"end", settings_.finished}});
      workers_.push_back(std::move(worker));
    }
  }

  Row& row(const Workload& workload, const std::string& rival) {
    for (Row& row : results_.rows) {
      if (row.id == workload.id && row.variant == workload.variant && row.rival == rival) {
        return row;
      }
    }
    results_.rows.push_back({workload.id, workload.variant, workload.what, rival, {}});
    return results_.rows.back();
  }

  // By workload and then by rival, whoever came to an answer first.
  void sort_rows() {
    const auto place = [&](const Row& row) {
      const auto workload = std::ranges::find_if(workloads_, [&](const Workload* other) {
        return other->id == row.id && other->variant == row.variant;
      });
      const auto rival = std::ranges::find(all_rivals(), row.rival, &Make::name);
      return std::pair(workload - workloads_.begin(), rival - all_rivals().begin());
    };
    std::ranges::sort(results_.rows, {}, place);
  }

  [[nodiscard]] Length length() const {
    return std::chrono::duration_cast<Length>(std::chrono::duration<double>(settings_.seconds));
  }

  [[nodiscard]] static bool has_round(const Workload& workload, int round) {
    return workload.rounds == 0 || round < workload.rounds;
  }

  void run_beside(const Workload& workload, int round) {
    if (!workload.beside || !has_round(workload, round)) return;
    for (auto& [rival, sample] : workload.beside(stage_, length())) {
      row(workload, rival).samples.push_back(std::move(sample));
    }
  }

  void run_rivals(const Workload& workload, int round) {
    if (!workload.run || !has_round(workload, round)) return;
    // Rows in the order of the rivals, whoever goes first.
    for (auto& worker : workers_) {
      if (workload.takes(worker->name())) row(workload, worker->name());
    }
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      // Who goes first changes, so that nobody always follows the same.
      Worker& worker = *workers_[(i + static_cast<std::size_t>(round)) % workers_.size()];
      if (!workload.takes(worker.name()) || is_out(worker.name(), workload)) continue;
      try {
        Sample sample = sample_of(worker.ask(
            {{"do", "run"}, {"workload", workload.name()}, {"nanoseconds", length().count()}}));
        row(workload, worker.name()).samples.push_back(std::move(sample));
      } catch (const Unable& error) {
        results_.left_out.push_back({worker.name(), workload.name(), error.what()});
      }
    }
  }

  [[nodiscard]] bool is_out(const std::string& rival, const Workload& workload) const {
    return std::ranges::any_of(results_.left_out, [&](const LeftOut& out) {
      return out.rival == rival && out.workload == workload.name();
    });
  }

  const Settings& settings_;
  Scratch scratch_;
  Stage stage_;
  Results results_;
  std::vector<const Workload*> workloads_;
  std::vector<std::string> left_for_long_;
  std::vector<std::unique_ptr<Worker>> workers_;  // end before their folder does
};

}  // namespace

Results compare_rivals(const Settings& settings) {
  struct sigaction action{};
  action.sa_handler = note_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return Comparison(settings).run();
}

}  // namespace once::bench
