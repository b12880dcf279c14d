// Outbox: delivers the events that were committed, at least once and in order.
//
//   auto relay = once::Relay::start(store, once::callback_publisher([&](const once::Event& event) {
//     return queue.send(event.id, event.payload);  // Result<void>
//   }));
//   if (!relay) return handle(relay.error());
//   ...                       // Transaction::publish() and Store::publish() wake it at once
//   (*relay)->stop().value(); // waits for the delivery under way
//
// By hand, on the calling thread:
//
//   auto relay = once::Relay::create(store, std::move(publisher));
//   auto report = (*relay)->deliver_now();  // what is due now
//
// How often, how patiently, and what becomes of what is never taken:
//
//   once::RelayOptions options{.batch = 20,
//                              .backoff = {.initial = std::chrono::milliseconds(100), .jitter = 1},
//                              .max_retries = 5,
//                              .after_dead_letter = once::AfterDeadLetter::skip};
//
// Promises. Every event is delivered at least once: it counts as delivered when the publisher has
// said so and that is on disk. A receiver that keeps the ids it has seen (an inbox) makes that
// exactly once. Events of one aggregate are delivered in the order of their commits, each after the
// one before it was delivered; an aggregate that cannot go on holds up no other one. Events without
// an aggregate wait for nobody.
//
// An event that cannot be read, written by a newer version or damaged, is passed over: it is told
// of (RelayStatus::error) and stays until a version that reads it delivers it, or until it is
// dropped (Outbox::drop_unreadable). All others are delivered. Of what aggregate it is nobody can
// tell, so that later events of the same one go before it: there the order is not kept.
//
// At once. A publisher that takes several events at a time (Publisher::at_once(), as the webhook
// does) is handed so many as RelayOptions::at_once says, each of another aggregate, on threads of
// the relay's: one that hangs keeps its own aggregate, and nothing else as long as there is room.
// Of what failed before one less, so that receivers that hang again and again leave room for new
// events. Of an aggregate the next one is handed over when the one before has come back; if that
// could not be noted as delivered (a flush or a commit failed), both come again, in their order. To
// any other publisher events are handed over one after the other, and one that hangs is waited for.
//
// Events that were not tried yet go first, in the order of commits, then what failed before, the
// one that is due longest first. One of those is among each batch (RelayOptions::batch), or under
// way, new ones or not.
//
// What failed is tried again after a growing delay, up to RelayOptions::max_retries times; then it
// is a dead letter, which nobody delivers until somebody says so (Outbox::retry, Outbox::drop).
// Retries, delays and dead letters are kept in the store and outlive the process.
//
// One relay at a time delivers from a store: it holds a reservation of the key /once.relay/outbox,
// and whatever it settles carries that token. A relay that lost it (a zombie) is refused with
// ErrorCode::fenced, and its events are delivered by the one that took over. A second relay waits.
//
// Delivering costs what is to be delivered, and never what was delivered before. A relay holds
// about 100 bytes in memory for each event that is not delivered yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "once/clock.h"
#include "once/error.h"
#include "once/event.h"
#include "once/options.h"
#include "once/store.h"

namespace once {

// Where events go. Called by one thread at a time, unless at_once() says otherwise.
class Publisher {
 public:
  Publisher() = default;
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;
  virtual ~Publisher() = default;

  // Hands one event over. An error says what becomes of it: work_failed() that it will never be
  // taken (a dead letter at once), any other that it is to be tried again. What it throws counts as
  // an error to be tried again.
  virtual Result<void> publish(const Event& event) = 0;
  // Called before what publish() took is noted as delivered: makes it safe. An error counts for all
  // events since the last flush(). With at_once() it may be called while other threads are in
  // publish(), and makes safe what has come back from there.
  virtual Result<void> flush() { return {}; }
  // How many threads may be in publish() at the same time. Asked once, when a relay is made.
  [[nodiscard]] virtual std::size_t at_once() const { return 1; }
};

// Calls `publish` for each event, from `at_once` threads at most.
[[nodiscard]] std::unique_ptr<Publisher> callback_publisher(
    std::function<Result<void>(const Event&)> publish, std::size_t at_once = 1);

struct JsonLinesOptions {
  // Sync the file before its events are noted as delivered, so that none is lost in a power cut.
  bool sync = true;
  std::string source = "/once";  // CloudEvents: where the events come from
};
// Appends each event as one line to the file `path`, made if it is missing: a CloudEvent in its
// JSON format (see once/webhook.h for how events become CloudEvents). "-" is the standard output,
// which is not synced. A line that a crash tore is ended before the next one is written.
// Errors: invalid_argument, permission, io.
[[nodiscard]] Result<std::unique_ptr<Publisher>> json_lines_publisher(
    const std::string& path, const JsonLinesOptions& options = {});

// How long to wait after a failure: initial, then multiplier times as long after each further one,
// and never longer than `max`. Of that time the part `jitter` is random, so that what failed
// together does not come back together (M. Brooker, "Exponential Backoff And Jitter", 2015): 0
// waits the whole time, 1 any time up to it.
struct Backoff {
  Duration initial = std::chrono::seconds(1);
  Duration max = std::chrono::minutes(5);
  double multiplier = 2;
  double jitter = 0.5;
};

// What becomes of an aggregate one of whose events is a dead letter.
enum class AfterDeadLetter : std::uint8_t {
  block = 1,  // its later events wait until the dead letter is retried or dropped: keeps the order
  skip = 2,   // its later events are delivered
};

inline constexpr std::size_t max_events_at_once = 64;

struct RelayOptions {
  // How often to look without being woken. Commits of this process wake the relay at once.
  Duration poll_interval = std::chrono::seconds(1);
  // So many events are tried before what became of them is noted, in one commit; or those that are
  // begun within half a second, and one more. No event is tried twice in a batch. After a crash at
  // most so many are delivered again, and those under way.
  std::size_t batch = 100;
  // So many events are with the publisher at the same time, 1 to max_events_at_once, if it takes as
  // many (Publisher::at_once()). 1: one after the other, on the thread that delivers.
  std::size_t at_once = 4;
  Backoff backoff{};
  std::uint32_t max_retries = 10;  // after the first attempt; then it is a dead letter
  AfterDeadLetter after_dead_letter = AfterDeadLetter::block;
  // How long a delivered event is kept; then sweep() removes it.
  Duration retention = std::chrono::hours(24 * 7);
  Duration lease = std::chrono::seconds(30);  // renewed every third of it
  bool heartbeat = true;                      // false: never renewed while a batch is delivered
  Durability durability = Durability::synced;
  // For tests: what jitter is drawn from. 0: the operating system.
  std::uint64_t seed = 0;
};

// What one call of Relay::deliver_now() did.
struct DeliveryReport {
  std::uint64_t delivered = 0;
  std::uint64_t failed = 0;  // attempts that are to be repeated
  std::uint64_t dead = 0;    // turned into dead letters
};

// How far delivering has come.
struct RelayStatus {
  bool active = false;          // it holds the right to deliver; false: another one does, or none
  std::uint64_t pending = 0;    // as of its last look: not delivered, dead letters not counted
  std::uint64_t dead = 0;       // as of its last look
  std::uint64_t delivered = 0;  // since it was made
  std::uint64_t failed = 0;     // attempts, since it was made
  double per_second = 0;        // delivered, over the last minute
  Duration oldest_age{};        // of the oldest pending event; 0: there is none
  // Why it does not deliver at the moment; or the first event that it passes over because that
  // cannot be read, while it delivers all others.
  std::optional<Error> error{};
};

// Delivers. Thread-safe, except that destroying it may not overlap with other use. Must be
// destroyed before its store; closing the store ends its work.
class Relay {
 public:
  class Impl;

  // A relay that delivers when deliver_now() is called. Takes the publisher over.
  // Errors: invalid_argument (an option out of its range, no publisher), unsupported (the store was
  // opened to read).
  static Result<std::unique_ptr<Relay>> create(Store& store, std::unique_ptr<Publisher> publisher,
                                               const RelayOptions& options = {});
  // The same, and delivers from now on, on a thread of its own. While another relay has the right
  // to deliver it stands by. Errors: as create(); io (no thread to be had).
  static Result<std::unique_ptr<Relay>> start(Store& store, std::unique_ptr<Publisher> publisher,
                                              const RelayOptions& options = {});
  // As stop().
  ~Relay();

  // Delivers what is due, on the calling thread (but see RelayOptions::at_once), and returns when
  // nothing is any more: events whose next attempt is later, or that stand behind such a one, stay.
  // Ends early with the batch in which `most` attempts are reached (0: no limit), or, once it has
  // seen what there is, when it has been at it for `longest` and what it had begun by then is back;
  // others are begun as long as it waits for that. Goes together with the thread of start().
  // Errors: busy (another relay is at it), fenced (another one took over; what was delivered
  // meanwhile will be delivered again), invalid_argument (called from the publisher), and those of
  // the store. A failing publisher is no error.
  Result<DeliveryReport> deliver_now(std::uint64_t most = 0, Duration longest = forever);
  // Ends the thread after the events that are being delivered, notes what was delivered, and lets
  // go of the right to deliver. Afterwards nobody is in the publisher, whatever the store has come
  // to meanwhile. deliver_now() works on. Errors: invalid_argument (called from the publisher).
  Result<void> stop();
  [[nodiscard]] RelayStatus status() const;

 private:
  explicit Relay(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// How much is waiting.
struct OutboxLag {
  std::uint64_t pending = 0;  // to be delivered
  std::uint64_t waiting = 0;  // of these, failed before and not due yet
  std::uint64_t dead = 0;
  Time oldest{};          // when the oldest pending event was committed; 0: there is none
  Duration oldest_age{};  // as of now
  // Events that cannot be read: nobody knows whether they are pending.
  std::uint64_t unreadable = 0;
};

// Looks at events that are not delivered, and decides on them by hand. A view of a store: make one
// where it is needed. Thread-safe as the store is. What it changes wakes the relay.
//
//   once::Outbox outbox(store);
//   if (outbox.lag().value().dead > 0) outbox.retry_dead().value();
class Outbox {
 public:
  explicit Outbox(Store& store) : store_(store) {}

  // Visits what is pending or dead, in the order of commits, until `visit` returns false. Costs
  // what there is of these, not what was delivered. Store::events() visits all. An event that
  // cannot be read does not keep the others: it is handed to `unreadable`, if there is one, and
  // otherwise its error is given when all were visited.
  Result<void> unsettled(
      const std::function<bool(const Event&)>& visit,
      const std::function<bool(std::uint64_t sequence, const Error&)>& unreadable = {});
  Result<OutboxLag> lag();

  // The event is delivered again from the beginning: a dead letter, or one that waits for its next
  // attempt. If an attempt is under way and fails, that does not count. Under AfterDeadLetter::skip
  // later events of its aggregate may have gone before it. Where several have the id, all of them.
  // Errors: not_found, conflict (it was delivered).
  Result<void> retry(std::string_view id);
  // All dead letters. Returns how many.
  Result<std::uint64_t> retry_dead();
  // Removes the event for good, undelivered. Errors: as retry().
  Result<void> drop(std::string_view id);
  // Removes an event that cannot be read, and so has no id, for good. Errors: not_found, conflict
  // (it can be read: nothing is removed).
  Result<void> drop_unreadable(std::uint64_t sequence);

 private:
  Store& store_;
};

}  // namespace once
