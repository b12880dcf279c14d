// Renews leases while work runs: one thread for all of them, started with the first. Should it not
// get through all that is due, the one due longest comes first, so that all fall behind alike.
//
//   const auto beat = heartbeat.start(lease / 3, [&] { return renew(); });
//   ... work ...
//   // beats end when `beat` goes out of scope
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "once/clock.h"

namespace once::ledger {

// Thread-safe.
class Heartbeat {
 public:
  // Renews once; false ends the beats (the lease is lost). Runs on the heartbeat's thread, and may
  // still be running when the Beat has ended.
  using Renew = std::function<bool()>;

  // Ends the beats when destroyed. May not outlive the Heartbeat.
  class Beat {
   public:
    Beat(Heartbeat& heartbeat, std::uint64_t id) : heartbeat_(heartbeat), id_(id) {}
    Beat(const Beat&) = delete;
    Beat& operator=(const Beat&) = delete;
    ~Beat() { heartbeat_.stop(id_); }

   private:
    Heartbeat& heartbeat_;
    const std::uint64_t id_;
  };

  explicit Heartbeat(std::shared_ptr<const Clock> clock) : clock_(std::move(clock)) {}
  ~Heartbeat() { close(); }

  // Null when the system has no thread to give.
  [[nodiscard]] std::unique_ptr<Beat> start(Duration interval, Renew renew);
  // Ends all beats and the thread.
  void close();

 private:
  struct Entry {
    Duration due{};  // since boot
    Duration interval{};
    std::shared_ptr<const Renew> renew;
  };

  void stop(std::uint64_t id);
  void erase(std::uint64_t id) ONCE_REQUIRES(mutex_);
  void run();

  const std::shared_ptr<const Clock> clock_;
  Mutex mutex_;
  CondVar changed_;
  std::map<std::uint64_t, Entry> entries_ ONCE_GUARDED_BY(mutex_);
  // When each of them is due.
  std::set<std::pair<Duration, std::uint64_t>> order_ ONCE_GUARDED_BY(mutex_);
  std::uint64_t next_id_ ONCE_GUARDED_BY(mutex_) = 1;
  Duration wakes_at_ ONCE_GUARDED_BY(mutex_) = Duration::max();  // when the thread looks next
  bool closed_ ONCE_GUARDED_BY(mutex_) = false;
  std::thread thread_ ONCE_GUARDED_BY(mutex_);
};

}  // namespace once::ledger
