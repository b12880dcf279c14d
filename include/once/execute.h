// Executor: execute() with more wishes. One is bound to a store and holds what all of its calls
// have in common: what a failure leaves, whether a run may be repeated, who decides what is in
// doubt, who watches.
//
//   once::Executor executor(store, {
//       .failures = {.classify_exception = [](const std::exception_ptr& thrown) { ... },
//                    .attempts = 3},
//       .is_safe_to_retry = [](const once::Key&, const once::Found& found) {
//         return found.record.attempt < 5;
//       },
//       .resolver = [&](const once::Key& key, const once::Record&) {
//         auto receipt = gateway.find_charge(key.id);
//         return receipt ? once::Resolution::success(*receipt) : once::Resolution::rerun();
//       },
//   });
//   auto paid = executor.execute("charge:order-42", [&] { return gateway.charge(order); });
//
//   // Again, in the place of what is kept; and together with it.
//   executor.refresh("rates:today", [&] { return bank.rates(); });
//   executor.merge("highest:42", [&] { return meter.read(); },
//                  [](double before, double now) { return std::max(before, now); });
//   // Many keys with one call, two commits in all.
//   auto sent = executor.execute_many(keys, [&](std::span<const once::Reservation> mine) {
//     return gateway.send_all(mine);  // a std::vector of as many results
//   });
//   // With somebody who watches.
//   once::Executor watched(store, {.observers = {{
//       .on_duplicate = [&](const once::Key&, const once::Outcome&, const once::Provenance& from) {
//         log(from.execution_id(), from.access_count);
//       },
//   }}});
//
// What an answer comes from is in Executed::provenance() (once/reservation.h).
//
// An Executor may be used from many threads at once. It may not outlive the store, which may not be
// moved meanwhile. All durabilities and errors are those of Store::execute() unless said otherwise.
// Options that cannot be (see each) are told by every function that runs work but bypass():
// invalid_argument, before anything is changed. What a hook, an observer, a codec or the work
// throws reaches the caller; each says what it leaves.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "once/store.h"

namespace once {

// What a failed run leaves.
enum class FailureClass : std::uint8_t {
  not_started = 1,  // nothing was attempted: the key is released
  definite = 2,     // it did not and will not happen: kept as the outcome, and replayed
  retryable = 3,    // failed without effect: released, the attempt counted
  unknown = 4,      // it may have happened: in doubt
  abandoned = 5,    // nobody knows what it was: as on_abandon says, released or in doubt
};

// "not_started", "definite", "retryable", "unknown", "abandoned". Never null.
[[nodiscard]] std::string_view to_string(FailureClass failure) noexcept;

// Which failure is of which class, how long each is kept, and how often the work is tried again
// within one call.
struct FailurePolicy {
  // The class of an error that the work returned, or nullopt for the usual one: work_failed,
  // work_timed_out and work_killed are definite, work_not_started, work_retryable and work_unknown
  // what their names say, and all others abandoned. Runs while the reservation is held. If it
  // throws the failure counts as abandoned, and the exception reaches the caller.
  std::function<std::optional<FailureClass>(const Error&)> classify_error{};
  // The same for an exception of the work; the usual class is abandoned. A definite one is kept
  // with the code "exception" and what() as its message. If it throws, the work's own exception is
  // the one that reaches the caller.
  std::function<std::optional<FailureClass>(const std::exception_ptr&)> classify_exception{};

  // How long a definite failure is replayed; nullopt: ExecuteOptions::failure_retention. None of
  // these is less than 0.
  std::optional<Duration> definite_retention{};
  // How long a released key remembers its attempts; nullopt: ExecuteOptions::retention.
  std::optional<Duration> not_started_retention{};
  std::optional<Duration> retryable_retention{};

  // How often one call runs the work in all, while what fails is retryable or not started. Between
  // two tries the key is free, so that somebody else may carry it out; then their outcome is the
  // answer. A refresh or a merge replaces what is kept by then. Everything else ends the call at
  // once. Of a pipeline it is each stage that is tried so often, and not the run as well. At least
  // 1.
  std::uint32_t attempts = 1;
  // The pause before the n-th repetition is initial_pause * multiplier^(n-1), at most
  // longest_pause, and of this a random part between (1 - jitter) and all: M. Brooker,
  // "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. It ends at once when the call is
  // cancelled or the store closed.
  Duration initial_pause = std::chrono::milliseconds(100);  // not less than 0
  double multiplier = 2.0;                                  // 1 or more
  Duration longest_pause = std::chrono::seconds(30);        // not less than 0
  double jitter = 0.5;                                      // 0 to 1
};

// What a resolver says about a key in doubt.
class Resolution {
 public:
  enum class Kind : std::uint8_t { success = 1, failure = 2, rerun = 3, unknown = 4 };

  // It happened, and `value` was its result; it is replayed from now on.
  template <class T>
  [[nodiscard]] static Resolution success(const T& value) {
    using W = internal::WorkType<std::decay_t<T>>;
    return {Kind::success, Outcome::success(Codec<typename W::type>::encode(value))};
  }
  [[nodiscard]] static Resolution success() { return {Kind::success, Outcome::success()}; }
  // It did not happen and will not; replayed as a work_failed() of this code.
  [[nodiscard]] static Resolution failure(std::string code, std::string message) {
    return {Kind::failure, Outcome::failure(std::move(code), std::move(message))};
  }
  // It did not happen: the work runs, without is_safe_to_retry being asked.
  [[nodiscard]] static Resolution rerun() { return {Kind::rerun, {}}; }
  // It cannot be told now: the key stays in doubt, and the caller gets in_doubt.
  [[nodiscard]] static Resolution unknown() { return {Kind::unknown, {}}; }

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] const Outcome& outcome() const { return outcome_; }

 private:
  Resolution(Kind kind, Outcome outcome) : kind_(kind), outcome_(std::move(outcome)) {}
  Kind kind_;
  Outcome outcome_;
};

// Is told what happens. Each function may be left out; they run on the caller's thread, in the
// order in which the observers were given, while nothing of the store is locked.
struct Observer {
  // The key was granted, and the work is about to run. If it throws the work does not run, and the
  // key is released as not started.
  std::function<void(const Reservation&)> before{};
  // The work has run and its outcome is kept: what this throws changes nothing of that.
  std::function<void(const Key&, const Outcome&, const Provenance&)> after{};
  // The key had an outcome already, which is the answer (or, with Conflict::reject, is why there is
  // none). What this throws changes nothing.
  std::function<void(const Key&, const Outcome&, const Provenance&)> on_duplicate{};
  // The work has failed, and the key was left as the class of the failure says. An exception of the
  // work arrives as an error of code `unknown`. What this throws reaches the caller, unless the
  // work itself has thrown: then that does.
  std::function<void(const Reservation&, const Error&, FailureClass)> on_failure{};
  // Somebody else holds the key, and the call begins to wait. If it throws nothing was changed.
  std::function<void(const Key&, const Error& busy)> on_wait{};
};

inline constexpr std::size_t max_executor_threads = 1024;

struct ExecutorOptions {
  ExecuteOptions defaults{};  // of calls that are given none
  FailurePolicy failures{};
  // Asked before a run that failed or was abandoned is repeated, by whichever call: `found` has the
  // record with its attempt count, and the outcome that is kept, if any. False leaves the key as it
  // is and gives retry_refused; so does what this throws, which reaches the caller. Not asked where
  // Resolution::rerun() has said it already. Null: everything may be repeated.
  //
  // Asked for as long as the run is remembered, and no longer: a released key for its retention,
  // an abandoned one for ever, a definite failure while it is kept (execute() replays it then, and
  // only refresh() and merge() repeat it). After that nothing is there to be asked about, swept or
  // not: the key is as new, with attempt 1, and runs. A definite failure has had no effect, as the
  // work itself has said; where its repetition is to be decided each time all the same, let
  // FailurePolicy::classify_error call it retryable, and retryable_retention say for how long
  // attempts are counted. It is not replayed then; this hook decides instead.
  std::function<bool(const Key&, const Found& found)> is_safe_to_retry{};
  // Asked when a key is in doubt, by one caller at a time for a key; the others wait and take what
  // was decided. The key is resolved only if nobody else has meanwhile. If it throws the key stays
  // in doubt, and the exception reaches the caller. Null: in_doubt is the answer.
  std::function<Resolution(const Key&, const Record&)> resolver{};
  std::vector<Observer> observers{};
  // Of the asynchronous calls: threads, 1 to max_executor_threads, each started when there is a
  // call for it, and how many calls may wait for one.
  std::size_t threads = 4;
  std::size_t queue = 1024;
};

class Executor {
 public:
  explicit Executor(Store& store, ExecutorOptions options = {});
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  // Gives asynchronous calls that have not begun the error `cancelled`, and waits for those that
  // have.
  ~Executor();

  [[nodiscard]] Store& store() const;
  [[nodiscard]] const ExecutorOptions& options() const;

  // Store::execute() with the hooks of this Executor. Errors besides: retry_refused.
  template <class F>
  auto execute(const Key& key, F&& work, const ExecuteOptions& options) {
    using T = typename internal::WorkType<Store::work_result<F>>::type;
    return Store::typed<T>(key, run(key, Store::erase<F>(std::forward<F>(work)), options));
  }
  template <class F>
  auto execute(const Key& key, F&& work) {
    return execute(key, std::forward<F>(work), options().defaults);
  }

  // Runs `work` although `key` may have an outcome, and replaces it. Until then, and if the work
  // fails in whatever way, the outcome before is what is kept and replayed; so a crash leaves it
  // too, and the work must bear to have run for nothing. The replacement is one commit, and fenced:
  // the work gets a token greater than all before, and if the record has changed since it was drawn
  // the error is fenced and nothing is replaced. Refreshes and merges of a key in one process come
  // one after the other (busy after options.wait). Without an outcome it is execute(). A kept
  // failure is repeated only if is_safe_to_retry agrees. Errors besides: limit_exceeded (the new
  // outcome is too large to keep).
  template <class F>
  auto refresh(const Key& key, F&& work, const ExecuteOptions& options) {
    using T = typename internal::WorkType<Store::work_result<F>>::type;
    return Store::typed<T>(key, replace(key, Store::erase<F>(std::forward<F>(work)), {}, options));
  }
  template <class F>
  auto refresh(const Key& key, F&& work) {
    return refresh(key, std::forward<F>(work), options().defaults);
  }

  // As refresh(), with `merge(previous, current)` in the place of the outcome before, where
  // `previous` is what is kept and `current` what the work has returned; both are of the work's
  // type, as is what `merge` returns (it, or a Result of it). A failure that is kept is replaced by
  // `current`. Atomic: what is merged with is what is replaced. Should it have changed meanwhile,
  // `merge` is called again with the newer one, and the work is not run again.
  //
  // Around a crash: before the commit nothing of this call is kept; after it, all of it. A caller
  // that died, or got `unknown`, cannot tell which, and a call that is made again merges again. So
  // let `merge` be idempotent (the union of sets, the greater of two), or have `current` name
  // itself, so that `merge` sees that it is in already. Errors besides: outcome_omitted (what is
  // kept is a tombstone), wrong_type.
  template <class F, class M>
  auto merge(const Key& key, F&& work, M&& merge, const ExecuteOptions& options) {
    using T = typename internal::WorkType<Store::work_result<F>>::type;
    return Store::typed<T>(
        key, replace(key, Store::erase<F>(std::forward<F>(work)), erase_merge<T>(merge), options));
  }
  template <class F, class M>
  auto merge(const Key& key, F&& work, M&& merge) {
    return this->merge(key, std::forward<F>(work), std::forward<M>(merge), options().defaults);
  }

  // Runs `work` and leaves the store alone: nothing is looked up, reserved or kept. The provenance
  // has no token. Observers are told nothing. Work that takes a Reservation gets one with the key
  // alone.
  template <class F>
  auto bypass(const Key& key, F&& work) {
    using T = typename internal::WorkType<Store::work_result<F>>::type;
    auto outcome = Store::erase<F>(std::forward<F>(work))(Reservation{.key = key});
    Result<Store::Answer> answer;
    if (outcome) {
      answer->outcome = std::move(*outcome);
    } else {
      answer = std::unexpected(std::move(outcome.error()));
    }
    return Store::typed<T>(key, std::move(answer));
  }

  // Many keys with one call of the work, two commits for all of them. `work` takes the reservations
  // of those keys that are to be carried out, a std::span<const Reservation>, and returns a
  // std::vector of as many results in their order, each a T or Result<T>. The answers stand in the
  // order of `keys`; a key named twice is carried out once and replayed. Keys that somebody else
  // holds are waited for, as options.wait says, after the others are done, so that the work may be
  // called several times, each time with other keys.
  //
  // A result that is an error leaves its own key as execute() does. An exception, or a vector of
  // another length (invalid_argument), counts as abandoning all of the keys of that call.
  // FailurePolicy::attempts does not count here, hooks and observers do.
  template <class F>
  auto execute_many(std::span<const Key> keys, F&& work, const ExecuteOptions& options) {
    using R = typename std::invoke_result_t<F&, std::span<const Reservation>>::value_type;
    using T = typename internal::WorkType<R>::type;
    using Answers = std::vector<Result<Executed<T>>>;
    auto answers = run_many(keys, erase_many<R>(work), options);
    if (!answers) return Result<Answers>(std::unexpected(std::move(answers.error())));
    Answers typed;
    typed.reserve(answers->size());
    for (std::size_t i = 0; i < answers->size(); ++i) {
      typed.push_back(Store::typed<T>(keys[i], std::move((*answers)[i])));
    }
    return Result<Answers>(std::move(typed));
  }
  template <class F>
  auto execute_many(std::span<const Key> keys, F&& work) {
    return execute_many(keys, std::forward<F>(work), options().defaults);
  }

  // execute() on one of this Executor's threads. The work is moved or copied there, and what it
  // throws comes out of the future. When `queue` calls wait already, or no thread can be started,
  // the future has the error limit_exceeded (or io) at once, and nothing was begun. A call that
  // options.stop cancels before it has begun does not run: the future has the error `cancelled` at
  // once, and the work is destroyed, on the thread that cancels. Its place among those that wait is
  // free when a thread comes to it.
  template <class F>
  auto execute_async(Key key, F work, ExecuteOptions options) {
    std::string of = key.to_string();
    const std::stop_token stop = options.stop;
    return call_async(
        std::move(of),
        [this, key = std::move(key), work = std::move(work),
         options = std::move(options)]() mutable { return execute(key, work, options); },
        stop);
  }
  template <class F>
  auto execute_async(Key key, F work) {
    return execute_async(std::move(key), std::move(work), options().defaults);
  }
  // execute_many() in the same way.
  template <class F>
  auto execute_many_async(std::vector<Key> keys, F work, ExecuteOptions options) {
    std::string of = keys.empty() ? "no key" : keys.front().to_string() + " and others";
    const std::stop_token stop = options.stop;
    return call_async(
        std::move(of),
        [this, keys = std::move(keys), work = std::move(work),
         options = std::move(options)]() mutable { return execute_many(keys, work, options); },
        stop);
  }
  template <class F>
  auto execute_many_async(std::vector<Key> keys, F work) {
    return execute_many_async(std::move(keys), std::move(work), options().defaults);
  }

  // Any call on one of this Executor's threads, on the terms of execute_async(): `call` takes
  // nothing and gives a Result<T>, and a std::future of that is returned. `of` names it in
  // messages. Workflow::run_async(), Coordinator::run_async(), Inbox::process_async() and
  // Pipeline::run_async() are made of it.
  //
  //   auto fresh = executor.call_async("rates:today", [&] {
  //     return executor.refresh("rates:today", [&] { return bank.rates(); });
  //   });
  //
  // A call may wait for another one (for a key, a lock, a future) only if there are threads for
  // both.
  template <class F>
  auto call_async(std::string of, F call, std::stop_token stop = {}) {
    auto made = std::make_shared<AsyncCall<F>>(std::move(of), std::move(call), std::move(stop));
    auto future = made->future();
    submit(
        [made = std::move(made)](std::optional<Error> refused) { made->run(std::move(refused)); });
    return future;
  }

 private:
  class Impl;
  using Merge = std::function<Result<Outcome>(const Outcome& previous, const Outcome& current)>;
  using ManyWork = std::function<std::vector<Result<Outcome>>(std::span<const Reservation>)>;
  // Is called once: with nothing to run, with the error if it is not to be run.
  using Task = std::function<void(std::optional<Error> refused)>;

  template <class, class, class>
  friend class Pipeline;
  // One call of call_async(): run by a thread or cancelled, whichever comes to it first.
  template <class F>
  class AsyncCall {
   public:
    using R = std::invoke_result_t<F&>;

    AsyncCall(std::string of, F call, std::stop_token stop)
        : of_(std::move(of)), call_(std::move(call)), on_stop_(std::move(stop), Cancel{this}) {}
    AsyncCall(const AsyncCall&) = delete;
    AsyncCall& operator=(const AsyncCall&) = delete;

    [[nodiscard]] std::future<R> future() { return promise_.get_future(); }
    void run(std::optional<Error> refused) {
      if (taken_.exchange(true)) return;
      try {
        promise_.set_value(refused ? R(std::unexpected(std::move(*refused))) : (*call_)());
      } catch (...) {
        promise_.set_exception(std::current_exception());
      }
    }

   private:
    struct Cancel {
      AsyncCall* call;
      void operator()() const noexcept { call->cancel(); }
    };
    void cancel() {
      if (taken_.exchange(true)) return;
      call_.reset();
      promise_.set_value(R(std::unexpected(cancelled_before(of_))));
    }

    const std::string of_;
    std::optional<F> call_;
    std::promise<R> promise_{};
    std::atomic<bool> taken_ = false;
    std::stop_callback<Cancel> on_stop_;  // last: it uses all of the others
  };

  // execute(), but the work runs once whatever FailurePolicy::attempts says.
  template <class F>
  auto execute_once(const Key& key, F&& work, const ExecuteOptions& options) {
    using T = typename internal::WorkType<Store::work_result<F>>::type;
    return Store::typed<T>(key, run_once(key, Store::erase<F>(std::forward<F>(work)), options));
  }

  Result<Store::Answer> run(const Key& key, const Store::Work& work, const ExecuteOptions& options);
  Result<Store::Answer> run_once(const Key& key, const Store::Work& work,
                                 const ExecuteOptions& options);
  Result<Store::Answer> replace(const Key& key, const Store::Work& work, const Merge& merge,
                                const ExecuteOptions& options);
  Result<std::vector<Result<Store::Answer>>> run_many(std::span<const Key> keys,
                                                      const ManyWork& work,
                                                      const ExecuteOptions& options);
  void submit(Task task);
  static Error cancelled_before(const std::string& of);

  template <class T, class M>
  static Merge erase_merge(M& merge) {
    return [&merge](const Outcome& previous, const Outcome& current) -> Result<Outcome> {
      if constexpr (std::same_as<T, Outcome>) {
        return Store::outcome_of([&] { return merge(previous, current); });
      } else {
        auto before = Codec<T>::decode(previous.value);
        if (!before) return std::unexpected(std::move(before.error()));
        auto now = Codec<T>::decode(current.value);
        if (!now) return std::unexpected(std::move(now.error()));
        return Store::outcome_of([&] { return merge(std::move(*before), std::move(*now)); });
      }
    };
  }
  template <class R, class F>
  static ManyWork erase_many(F& work) {
    return [&work](std::span<const Reservation> reservations) {
      std::vector<Result<Outcome>> outcomes;
      for (auto&& result : work(reservations)) {
        outcomes.push_back(Store::outcome_of([&]() -> R { return R(std::move(result)); }));
      }
      return outcomes;
    };
  }

  std::unique_ptr<Impl> impl_;
};

}  // namespace once
