// What a Relay is made of: the backlog, the right to deliver, and a thread that delivers.
//
//   refresh   reads what is new (or everything: first, after an edit by hand, after a failure)
//   batch     takes events that are due, hands each to the publisher, and remembers what it said;
//             each event once, and for a bounded time
//   commit    flushes the publisher, then writes all of it in one fenced commit, the cursor with it
//
// To a publisher that takes several at once they are handed over on threads of their own
// (relay_at_once.cc): one of an aggregate at a time, as many as RelayOptions::at_once says. What
// has come back makes the batch then, and what is still with the publisher is left for another one.
//
// The backlog runs ahead of the store while a batch is under way. Whenever a commit does not come
// about, it is forgotten, and read anew from the store; what is with the publisher by then stays
// taken, and counts as delivered only if nothing before it in its aggregate has to come again.
//
// Lock order, outermost first: delivering_, then mutex_, then those of the store.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "outbox/backlog.h"
#include "outbox/handover.h"
#include "outbox/rate.h"
#include "outbox/settle.h"
#include "store/store_impl.h"

namespace once {

class Relay::Impl {
 public:
  Impl(Store::Impl& store, std::unique_ptr<Publisher> publisher, const RelayOptions& options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] Result<void> check_process() const { return store_.check_process(); }
  Result<void> start();
  Result<DeliveryReport> deliver_now(std::uint64_t most, Duration longest);
  Result<void> stop();
  [[nodiscard]] RelayStatus status() const;

 private:
  // A batch ends here: what it delivered is written again in one commit.
  static constexpr std::size_t batch_bytes = std::size_t{4} << 20;
  // And here, however few it has: a receiver that hangs keeps nothing else from being noted or
  // seen.
  static constexpr Duration batch_time = std::chrono::milliseconds(500);
  [[nodiscard]] static std::size_t size_of(const Event& event);

  using Aggregate = std::pair<std::string, std::string>;  // type and id

  // What became of an event that was handed over.
  struct Attempt {
    std::uint64_t sequence = 0;
    Aggregate aggregate{};
    EventStatus status = EventStatus::delivered;  // pending: to be tried again
    std::uint32_t retries = 0;                    // this one included, if it failed
    Time next_attempt_at{};
    std::string error{};
    // As the event was read.
    std::uint32_t retries_before = 0;
    Time attempt_was_at{};
    bool overruled = false;  // failed, and somebody asked for a retry meanwhile: does not count
  };
  // An event that is with the publisher.
  struct Out {
    Aggregate aggregate{};
    bool in_backlog = true;  // which knows of it
    bool in_order = true;    // false: one before it is delivered again, and it is to follow that
  };

  void run();
  // All that is due, or the batches that make `most` attempts (0: no limit) or are begun within
  // `longest`. Ends early when told to stop.
  Result<DeliveryReport> deliver(std::uint64_t most, Duration longest) ONCE_REQUIRES(delivering_);
  Result<DeliveryReport> deliver_in_turn(std::uint64_t most, Duration longest)
      ONCE_REQUIRES(delivering_);
  // After refresh(). nullopt: nothing is due.
  Result<std::optional<DeliveryReport>> deliver_batch() ONCE_REQUIRES(delivering_);
  Result<void> acquire() ONCE_REQUIRES(delivering_);
  void let_go() ONCE_REQUIRES(delivering_);
  Result<void> refresh() ONCE_REQUIRES(delivering_);
  Result<void> read_all() ONCE_REQUIRES(delivering_);
  Result<void> read_new() ONCE_REQUIRES(delivering_);
  void take(std::uint64_t sequence, const Result<Event>& event) ONCE_REQUIRES(delivering_);
  Result<std::vector<Attempt>> take_batch() ONCE_REQUIRES(delivering_);
  // The next event of a batch that has `taken`. New ones go before those that failed before, so
  // that those never hold them up; but each batch has one of those (`again`, afterwards), if one is
  // due, so that a stream of new ones does not hold them up either. `late`: only to make sure of
  // that.
  [[nodiscard]] std::optional<std::uint64_t> next(std::size_t taken, bool late, bool& again)
      ONCE_REQUIRES(delivering_);
  Result<std::optional<Event>> read(std::uint64_t sequence) ONCE_REQUIRES(delivering_);
  // What came of handing an event over.
  Attempt attempt(const Event& event, const Result<void>& published) ONCE_REQUIRES(delivering_);

  // Several at once, in relay_at_once.cc.
  struct Pass;
  Result<DeliveryReport> deliver_at_once(std::uint64_t most, Duration longest)
      ONCE_REQUIRES(delivering_);
  // Takes what has come back into the batch of `pass`.
  void take_back(Pass& pass) ONCE_REQUIRES(delivering_);
  // Reads what is new, if there may be any, and hands over what there is room for.
  Result<void> begin_some(Pass& pass) ONCE_REQUIRES(delivering_);
  [[nodiscard]] std::optional<std::uint64_t> next_at_once() ONCE_REQUIRES(delivering_);
  Result<void> commit_batch(Pass& pass) ONCE_REQUIRES(delivering_);
  // What was delivered of `batch` was not noted, and is delivered again: what follows it is not to
  // count as delivered.
  void deliver_again(const std::vector<Attempt>& batch) ONCE_REQUIRES(delivering_);
  // Until there may be something to do.
  void wait_at_once(const Pass& pass) ONCE_REQUIRES(delivering_);

  // The same attempt, which failed after all.
  [[nodiscard]] Attempt failed(Attempt attempt, const Error& error) ONCE_REQUIRES(delivering_);
  // Calls the publisher. What it throws is an error.
  Result<void> guarded(const std::function<Result<void>()>& call) const;
  void flush(std::vector<Attempt>& batch) ONCE_REQUIRES(delivering_);
  Result<DeliveryReport> commit(std::vector<Attempt>& batch) ONCE_REQUIRES(delivering_);
  // Whether an event was changed by hand since `attempt` began.
  [[nodiscard]] static bool changed_since(const Attempt& attempt, const Event& event);
  // Writes what became of an event into it.
  void apply(const Attempt& attempt, Event& event, Time now) const;
  void note(const DeliveryReport& done) ONCE_REQUIRES(delivering_);
  [[nodiscard]] bool stopping() const;
  // Whether this thread is in the publisher: it must not wait for itself.
  [[nodiscard]] bool in_publisher() const;
  void wait(std::uint64_t ticket, std::uint32_t failures);

  Store::Impl& store_;
  const std::unique_ptr<Publisher> publisher_;
  const RelayOptions options_;

  Mutex delivering_;
  outbox::Backlog backlog_ ONCE_GUARDED_BY(delivering_);
  bool known_ ONCE_GUARDED_BY(delivering_) = false;  // the backlog is what the store says
  std::uint64_t edits_ ONCE_GUARDED_BY(delivering_) = 0;
  std::optional<Error> unreadable_ ONCE_GUARDED_BY(delivering_);  // the first event passed over
  std::optional<Reservation> reservation_ ONCE_GUARDED_BY(delivering_);
  std::unique_ptr<ledger::Heartbeat::Beat> beat_ ONCE_GUARDED_BY(delivering_);
  std::mt19937_64 random_ ONCE_GUARDED_BY(delivering_);
  std::map<std::uint64_t, Out> out_ ONCE_GUARDED_BY(delivering_);
  std::size_t again_out_ ONCE_GUARDED_BY(delivering_) = 0;  // of these, those that failed before

  mutable Mutex mutex_;
  int stopping_ ONCE_GUARDED_BY(mutex_) = 0;  // calls of stop() under way
  std::thread thread_ ONCE_GUARDED_BY(mutex_);
  RelayStatus status_ ONCE_GUARDED_BY(mutex_);
  std::optional<Time> oldest_ ONCE_GUARDED_BY(mutex_);
  std::optional<Time> next_due_ ONCE_GUARDED_BY(mutex_);
  outbox::Rate rate_ ONCE_GUARDED_BY(mutex_);

  const std::size_t at_once_;  // events with the publisher
  const Key back_key_;         // notified when one comes back
  // Null: one at a time, on the thread that delivers. Last: its threads use all of the others.
  std::unique_ptr<outbox::Handover> handover_;
};

}  // namespace once
