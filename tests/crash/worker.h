// The process that is killed: what its threads share.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "base/mutex.h"
#include "load.h"
#include "once/store.h"

namespace once::crash {

struct Task {
  std::string store;
  std::string effects;  // file that the outside effects are appended to
  unsigned life = 0;    // how many workers had the store before
  std::uint64_t seed = 0;
  std::string mode;  // load, sweep, backup, close or reopen: what is done besides
  std::size_t memory = 0;
  Sabotage sabotage = Sabotage::none;
  Layout layout{};
};

// Lets many pass, or one alone; who wants to be alone is not overtaken for ever.
class Gate {
 public:
  void enter() {
    MutexLock lock(mutex_);
    while (closed_) changed_.wait(mutex_);
    ++inside_;
  }
  void leave() {
    MutexLock lock(mutex_);
    --inside_;
    ++passed_;
    changed_.notify_all();
  }
  void close() {
    MutexLock lock(mutex_);
    closed_ = true;
    while (inside_ > 0) changed_.wait(mutex_);
  }
  void open() {
    MutexLock lock(mutex_);
    closed_ = false;
    changed_.notify_all();
  }
  // Until so many more have passed.
  void wait_for(std::uint64_t count) {
    MutexLock lock(mutex_);
    const std::uint64_t until = passed_ + count;
    while (passed_ < until) changed_.wait(mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int inside_ ONCE_GUARDED_BY(mutex_) = 0;
  bool closed_ ONCE_GUARDED_BY(mutex_) = false;
  std::uint64_t passed_ ONCE_GUARDED_BY(mutex_) = 0;
};

class Worker {
 public:
  explicit Worker(Task of) : task(std::move(of)) {}

  // Tells the checker, before anything else is done.
  static void say(const Message& message);
  static void phase(std::string name, std::string note = {});
  static void bad(const Key& key, const std::string& what);
  static void bad(const Key& key, const std::string& doing, const Error& error);
  // An effect that the store knows nothing of: one line at the end of a file.
  void effect(const Key& key, Token token) const;

  [[nodiscard]] bool open();

  const Task task;
  Gate gate;  // whoever uses `store` is inside
  std::optional<Store> store;
};

// One thread of the mixed load.
class Load {
 public:
  Load(Worker& worker, unsigned thread);
  void step();

 private:
  [[nodiscard]] std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  [[nodiscard]] Durability durability();
  // A key that other threads and the lives before and after use too.
  [[nodiscard]] Key shared_key(std::string_view kind);
  [[nodiscard]] std::string own_id(unsigned number) const;

  // Around an outside effect.
  void pay();
  Result<Bytes> pay_work(const Key& key, const Reservation& reservation) const;
  // Money between accounts.
  void move();
  Result<Bytes> move_work(const Key& key, Transaction& transaction);
  void check_sum(const Key& key, Transaction& transaction);
  void batch();
  void complete_batch(const Key& key, const std::vector<Reservation>& reservations);
  // By hand, step by step; only this thread has the key.
  void hand(const Key& key);
  void steps(const Reservation& reservation);
  void finish(const Reservation& reservation);
  void resolve(const Key& key);
  void publish();
  void brief();
  void look();

  // Asks the store for one thing and tells before and after.
  template <class Call>
  bool ask(std::string_view verb, const Key& key, Token token, std::string note, Call&& call);

  Worker& worker_;
  const unsigned thread_;
  std::mt19937_64 random_;
  unsigned hands_ = 0;
  unsigned batches_ = 0;
  unsigned published_ = 0;
};

}  // namespace once::crash
