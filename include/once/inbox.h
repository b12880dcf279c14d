// Inbox: an event that arrives, however often, is processed once. What processing it changes and
// that it was processed are one commit.
//
//   once::Inbox inbox(store, "billing");
//   auto done = inbox.process(event.id, [&](once::Transaction& tx) -> once::Result<void> {
//     auto put = tx.put("invoice/" + event.id, event.payload);
//     if (!put) return std::unexpected(put.error());
//     return tx.publish({.type = "invoice.created", .payload = event.id});
//   });
//   if (done) acknowledge(event);   // also when done->replayed(): the sender had not heard of it
//
// Where an event of the same id must say the same, give its question too: a mismatch then names the
// fields that differ (once/question.h).
//
//   auto question = once::question_of(event.payload);          // JSON
//   if (!question) return refuse(question.error());
//   auto done = inbox.process(event.id, *question, work);
//   // done.error(): "... was used for a different question ('amount' differs) ..."
//
// This is the receiver's half of exactly-once delivery: the sender delivers at least once and names
// each event (Once's outbox does), and the receiver remembers the names for as long as they may
// come again (P. Helland, "Life beyond Distributed Transactions", 2007, section 5).
//
// A consumer's event is the key `once.inbox/CONSUMER/EVENT_ID`; consumers know nothing of each
// other.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "once/execute.h"
#include "once/question.h"
#include "once/store.h"

namespace once {

// Inboxes keep keys of this tenant, with the consumer as the operation.
inline constexpr std::string_view inbox_tenant = "once.inbox";

struct InboxOptions {
  // How long an event is remembered: longer than its sender may go on to deliver it.
  Duration retention = std::chrono::hours(24 * 7);
  // An event whose work has failed for good (work_failed) counts as processed for so long.
  Duration failure_retention = std::chrono::hours(24 * 7);
  Duration wait = std::chrono::seconds(30);  // for the same event on another thread
  Durability durability = Durability::synced;
  std::stop_token stop{};  // gives a wait up at once: ErrorCode::cancelled
};

// May be used from many threads at once; may not outlive the store, which may not be moved
// meanwhile.
class Inbox {
 public:
  // `consumer` has 1 to 255 bytes; process() tells if it has not.
  Inbox(Store& store, std::string_view consumer, InboxOptions options = {})
      : store_(store), consumer_(consumer), options_(std::move(options)) {}

  // Runs `work` on a Transaction unless the event was processed already, and commits what it wrote
  // together with its outcome and the mark that the event was processed, in one sync; Store::
  // transact() tells how `work` runs and fails. replayed() says that it was a duplicate, and
  // value() is then what the work has returned the first time. With `payload`, or the `question`
  // that it asks, an event of the same id that says something else is a mismatch; with a question
  // the error names the fields that differ, and digests of them are kept. The digest of a payload
  // and the fingerprint of a question are two things: give one of them for all events of a
  // consumer.
  template <class F>
  auto process(std::string_view event_id, F&& work) {
    return store_.transact(key_of(event_id), std::forward<F>(work), options_of({}));
  }
  template <class F>
  auto process(std::string_view event_id, ByteView payload, F&& work) {
    return store_.transact(key_of(event_id), std::forward<F>(work),
                           options_of({.fingerprint = Fingerprint::of(payload)}));
  }
  template <class F>
  auto process(std::string_view event_id, const Question& question, F&& work) {
    return store_.transact(
        key_of(event_id), std::forward<F>(work),
        options_of({.fingerprint = question.fingerprint, .fields = question.fields}));
  }

  // process() on a thread of `executor`, on the terms of Executor::call_async() with
  // InboxOptions::stop. The work is moved or copied there. This inbox need not outlive the call,
  // its store must.
  template <class F>
  auto process_async(Executor& executor, std::string event_id, F work) {
    return later(executor, event_id, std::move(work), options_of({}));
  }
  template <class F>
  auto process_async(Executor& executor, std::string event_id, ByteView payload, F work) {
    return later(executor, event_id, std::move(work),
                 options_of({.fingerprint = Fingerprint::of(payload)}));
  }
  template <class F>
  auto process_async(Executor& executor, std::string event_id, const Question& question, F work) {
    return later(executor, event_id, std::move(work),
                 options_of({.fingerprint = question.fingerprint, .fields = question.fields}));
  }

  // True when the event was processed, and is remembered.
  Result<bool> processed(std::string_view event_id) {
    const auto status = store_.status(key_of(event_id));
    if (!status) return std::unexpected(status.error());
    return *status == KeyStatus::completed || *status == KeyStatus::failed;
  }

  // The key that stands for an event.
  [[nodiscard]] Key key_of(std::string_view event_id) const {
    return {inbox_tenant, consumer_, event_id};
  }

 private:
  // `asked`, and what is asked for of all events.
  [[nodiscard]] TransactOptions options_of(TransactOptions asked) const {
    asked.retention = options_.retention;
    asked.failure_retention = options_.failure_retention;
    asked.wait = options_.wait;
    asked.durability = options_.durability;
    asked.stop = options_.stop;
    return asked;
  }
  template <class F>
  auto later(Executor& executor, std::string_view event_id, F work, TransactOptions options) {
    Key key = key_of(event_id);
    std::string of = key.to_string();
    return executor.call_async(
        std::move(of),
        [&store = store_, key = std::move(key), work = std::move(work),
         options = std::move(options)]() mutable { return store.transact(key, work, options); },
        options_.stop);
  }

  Store& store_;
  const std::string consumer_;
  const InboxOptions options_;
};

}  // namespace once
