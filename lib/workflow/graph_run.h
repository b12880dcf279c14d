// Runs the nodes of a graph, several at a time, in the order that their dependencies allow.
#pragma once

#include <map>
#include <set>
#include <thread>
#include <unordered_map>
#include <vector>

#include "workflow/node_call.h"

namespace once::workflow {

class GraphRun {
 public:
  explicit GraphRun(RunScope& scope);

  // Runs what can be run, on the calling thread and, if it helps, on further ones that end before
  // this returns.
  [[nodiscard]] Ending run();
  [[nodiscard]] std::uint32_t executed() const;
  [[nodiscard]] std::uint32_t skipped() const { return skipped_; }

 private:
  struct Task {
    const Node* node = nullptr;
    std::vector<std::size_t> followers{};
    std::size_t waits_for = 0;
    std::uint32_t failed_tries = 0;  // in this run
  };

  void set_up();
  // Takes the next node to run; nullopt when there is nothing for this thread to do any more.
  [[nodiscard]] std::optional<std::size_t> next();
  [[nodiscard]] std::optional<Duration> move_due() ONCE_REQUIRES(mutex_);
  void work();
  void execute(std::size_t at);
  void set_timer(std::size_t at);
  void tried(std::size_t at, NodeRow row, Tried tried);
  void done(std::size_t at);
  void failed(std::size_t at, NodeRow row, Tried tried);
  void broke_down(const Error& error);
  [[nodiscard]] Ending ending();

  RunScope& scope_;
  std::uint32_t skipped_ = 0;
  std::vector<Task> tasks_;
  std::unordered_map<std::string_view, std::size_t> places_;

  mutable Mutex mutex_;
  CondVar changed_;
  std::set<std::size_t> ready_ ONCE_GUARDED_BY(mutex_);
  std::multimap<Duration, std::size_t> retries_ ONCE_GUARDED_BY(mutex_);  // by when, since boot
  std::multimap<Time, std::size_t> timers_ ONCE_GUARDED_BY(mutex_);
  std::size_t running_ ONCE_GUARDED_BY(mutex_) = 0;
  std::size_t left_ ONCE_GUARDED_BY(mutex_) = 0;  // not done
  std::uint32_t executed_ ONCE_GUARDED_BY(mutex_) = 0;
  bool over_ ONCE_GUARDED_BY(mutex_) = false;
  bool broken_ ONCE_GUARDED_BY(mutex_) = false;
  std::optional<Error> error_ ONCE_GUARDED_BY(mutex_);  // the gravest so far
  std::exception_ptr thrown_ ONCE_GUARDED_BY(mutex_);
};

}  // namespace once::workflow
