// The thread that goes on with runs in the background.
#include <algorithm>
#include <map>
#include <system_error>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"
#include "base/saturating.h"
#include "workflow/resume.h"
#include "workflow/run_access.h"

namespace once {

class WorkflowRunner::Impl {
 public:
  Impl(Store& store, std::vector<Workflow> workflows, Options options)
      : store_(store),
        inside_(internal::RunAccess::inside(store)),
        workflows_(std::move(workflows)),
        options_(std::move(options)) {
    MutexLock lock(mutex_);
    last_look_ = check_options();
    if (!last_look_) return;
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
      last_look_ =
          fail(ErrorCode::io, "no thread could be started to run workflows: {}", error.what());
    }
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { stop(); }

  [[nodiscard]] Result<void> check_process() const { return inside_.check_process(); }
  void wake() {
    if (!check_process()) return;
    MutexLock lock(mutex_);
    awake_ = true;
    changed_.notify_all();
  }
  void stop() {
    if (!check_process()) return;
    std::thread thread;
    stop_.request_stop();
    {
      MutexLock lock(mutex_);
      changed_.notify_all();
      thread = std::move(thread_);
    }
    if (thread.joinable()) thread.join();
  }
  Result<void> last_look() const {
    if (auto checked = check_process(); !checked) return checked;
    MutexLock lock(mutex_);
    return last_look_;
  }

 private:
  [[nodiscard]] Result<void> check_options() const;
  void run();
  void look();
  void wake_sleepers();
  void keep(const std::multimap<Time, Key>& timers);
  void note(const Result<workflow::Resumption>& resumed, bool is_look);

  Store& store_;
  Store::Impl& inside_;
  const std::vector<Workflow> workflows_;
  const Options options_;
  // Work that throws leaves its run given back, and `observe` is told; there is nobody here to pass
  // the exception on to.
  const std::function<bool(const Key&, const Result<WorkflowRun>&)> visit_ =
      [this](const Key& key, const Result<WorkflowRun>& run) {
        if (options_.observe) options_.observe(key, run);
        return true;
      };
  // Of the thread alone, since boot.
  Duration next_look_{};
  std::multimap<Duration, Key> sleepers_{};  // whose timers are due before the next look
  std::stop_source stop_;
  mutable Mutex mutex_;
  CondVar changed_;
  bool awake_ ONCE_GUARDED_BY(mutex_) = false;
  Result<void> last_look_ ONCE_GUARDED_BY(mutex_);
  std::thread thread_ ONCE_GUARDED_BY(mutex_);
};

Result<void> WorkflowRunner::Impl::check_options() const {
  if (options_.interval <= Duration::zero()) {
    return fail(ErrorCode::invalid_argument,
                "a runner that looks every {} ms; give an interval longer than 0",
                options_.interval.count());
  }
  return workflow::check_given_back(options_.given_back);
}

// What is told of a look, or of waking sleepers in between.
void WorkflowRunner::Impl::note(const Result<workflow::Resumption>& resumed, bool is_look) {
  MutexLock lock(mutex_);
  if (is_look) last_look_ = {};
  if (!resumed) {
    last_look_ = std::unexpected(resumed.error());
  } else if (resumed->unreadable) {
    last_look_ = std::unexpected(*resumed->unreadable);
  }
}

// Looks at all runs and goes on with what is due.
void WorkflowRunner::Impl::look() {
  auto resumed = workflow::resume_all(store_, workflows_, visit_, {.stop = stop_.get_token()},
                                      options_.given_back);
  note(resumed, true);
  next_look_ = after(inside_.clock->since_boot(), options_.interval);
  sleepers_.clear();
  if (resumed) keep(resumed->timers);
}

// Goes on with those whose timers are due by now. Others are not looked at: that costs a look at
// every record.
void WorkflowRunner::Impl::wake_sleepers() {
  std::vector<Key> due;
  const Duration now = inside_.clock->since_boot();
  while (!sleepers_.empty() && sleepers_.begin()->first <= now) {
    due.push_back(std::move(sleepers_.begin()->second));
    sleepers_.erase(sleepers_.begin());
  }
  auto resumed =
      workflow::resume_these(store_, workflows_, due, visit_, {.stop = stop_.get_token()});
  note(resumed, false);
  if (resumed) keep(resumed->timers);
}

// The next look finds those that are due behind it.
void WorkflowRunner::Impl::keep(const std::multimap<Time, Key>& timers) {
  for (const auto& [due, key] : timers) {
    const Duration at = inside_.engine->since_boot_at(due);
    if (at >= next_look_) break;
    sleepers_.emplace(at, key);
  }
}

void WorkflowRunner::Impl::run() {
  bool is_look = true;
  while (!stop_.stop_requested()) {
    {
      MutexLock lock(mutex_);
      awake_ = false;
    }
    if (is_look) {
      look();
    } else {
      wake_sleepers();
    }
    Duration next = next_look_;
    if (!sleepers_.empty()) next = std::min(next, sleepers_.begin()->first);
    MutexLock lock(mutex_);
    while (!awake_ && !stop_.stop_requested() && inside_.clock->since_boot() < next) {
      changed_.wait_until(mutex_, *inside_.clock, next);
    }
    is_look = awake_ || inside_.clock->since_boot() >= next_look_;
  }
}

WorkflowRunner::WorkflowRunner(Store& store, std::vector<Workflow> workflows, Options options)
    : impl_(std::make_unique<Impl>(store, std::move(workflows), std::move(options))) {}

WorkflowRunner::WorkflowRunner(Store& store, std::vector<Workflow> workflows)
    : WorkflowRunner(store, std::move(workflows), Options{}) {}

WorkflowRunner::~WorkflowRunner() {
  if (!impl_->check_process()) (void)impl_.release();  // the parent's; see Store::let_go()
}

void WorkflowRunner::wake() {
  impl_->wake();
}

Result<void> WorkflowRunner::last_look() const {
  return impl_->last_look();
}

void WorkflowRunner::stop() {
  impl_->stop();
}

}  // namespace once
