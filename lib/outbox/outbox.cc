// Looking at events that are not delivered, and deciding on them by hand.
#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "base/error.h"
#include "once/outbox.h"
#include "outbox/settle.h"

namespace once {
namespace {

// So many are changed in one commit.
constexpr std::size_t edits_at_once = 256;

using VisitUnreadable = std::function<bool(std::uint64_t sequence, const Error&)>;

Result<void> visit_all(Store::Impl& store, const std::function<bool(const Event&)>& visit,
                       const VisitUnreadable& unreadable) {
  auto in_use = store.use();
  if (!in_use) return pass(in_use);
  auto reading = store.engine->read();
  if (!reading) return pass(reading);
  auto cursor = (*reading)->outbox_cursor();
  if (!cursor) return pass(cursor);
  return outbox::visit_events(**reading, cursor->left, cursor->from,
                              [&](std::uint64_t sequence, const Result<Event>& event) {
                                if (!event) return unreadable(sequence, event.error());
                                return event->status == EventStatus::delivered || visit(*event);
                              });
}

// The sequences of the events called `id` that are not delivered. Errors: not_found, conflict.
Result<std::vector<std::uint64_t>> find(Store::Impl& store, std::string_view id) {
  std::vector<std::uint64_t> found;
  auto visited = visit_all(
      store,
      [&](const Event& event) {
        if (event.id == id) found.push_back(event.sequence);
        return true;
      },
      [](std::uint64_t, const Error&) { return true; });
  if (!visited) return pass(visited);
  if (!found.empty()) return found;

  // Only to say what is wrong: there may be many of these.
  auto in_use = store.use();
  if (!in_use) return pass(in_use);
  auto reading = store.engine->read();
  if (!reading) return pass(reading);
  bool delivered = false;
  std::uint64_t unreadable = 0;
  visited = outbox::visit_events(**reading, {}, 0, [&](std::uint64_t, const Result<Event>& event) {
    if (!event) ++unreadable;
    delivered = event && event->id == id;
    return !delivered;
  });
  if (!visited) return pass(visited);
  if (delivered) {
    return fail(ErrorCode::conflict,
                "event {} was delivered already; publish another one to have it sent again",
                escape(id));
  }
  return fail(ErrorCode::not_found,
              "there is no event {}{}; `once outbox ls STORE` lists those that are not delivered",
              escape(id),
              unreadable == 0
                  ? ""
                  : fmt::format(", unless it is among the {} that cannot be read", unreadable));
}

// An attempt may be under way. By its retries and its next attempt the relay sees that the event is
// not the one it has read (see Relay::Impl::commit), so that these are never again what they were.
Event as_new(Event event, Time now) {
  const bool untried = event.status == EventStatus::pending && event.retries == 0;
  if (!untried) {
    event.next_attempt_at = {};
  } else if (event.next_attempt_at == Time{} || event.next_attempt_at > now) {
    event.next_attempt_at = now;
  } else {
    event.next_attempt_at -= Duration(1);
  }
  event.status = EventStatus::pending;
  event.retries = 0;
  return event;
}

// Has what is not delivered of `sequences` delivered from the beginning. Returns how many.
Result<std::uint64_t> retry_all(Store::Impl& store, std::span<const std::uint64_t> sequences) {
  std::uint64_t changed = 0;
  while (!sequences.empty()) {
    const auto some = sequences.first(std::min(sequences.size(), edits_at_once));
    sequences = sequences.subspan(some.size());
    std::uint64_t now_changed = 0;
    auto edited =
        outbox::edit(store, some, [&](std::span<const std::optional<Event>> events, Time now) {
          engine::OutboxChange change;
          for (const auto& event : events) {
            if (event && event->status != EventStatus::delivered) {
              change.put.push_back(as_new(*event, now));
            }
          }
          now_changed = change.put.size();
          return change;
        });
    if (!edited) return pass(edited);
    changed += now_changed;
  }
  return changed;
}

}  // namespace

Result<void> Outbox::unsettled(
    const std::function<bool(const Event&)>& visit,
    const std::function<bool(std::uint64_t sequence, const Error&)>& unreadable) {
  if (unreadable) return visit_all(*store_.impl_, visit, unreadable);
  Result<void> first;
  auto visited = visit_all(*store_.impl_, visit, [&](std::uint64_t, const Error& error) {
    if (first) first = std::unexpected(error);
    return true;
  });
  return visited ? first : visited;
}

Result<OutboxLag> Outbox::lag() {
  OutboxLag lag;
  const Time now = store_.impl_->engine->now();
  const auto count = [&](const Event& event) {
    if (event.status == EventStatus::dead) {
      ++lag.dead;
      return true;
    }
    ++lag.pending;
    if (event.next_attempt_at > now) ++lag.waiting;
    if (lag.oldest == Time{} || event.created_at < lag.oldest) lag.oldest = event.created_at;
    return true;
  };
  auto visited = visit_all(*store_.impl_, count, [&](std::uint64_t, const Error&) {
    ++lag.unreadable;
    return true;
  });
  if (!visited) return pass(visited);
  if (lag.pending != 0) lag.oldest_age = std::max(now - lag.oldest, Duration(0));
  return lag;
}

Result<void> Outbox::retry(std::string_view id) {
  auto found = find(*store_.impl_, id);
  if (!found) return pass(found);
  auto changed = retry_all(*store_.impl_, *found);
  if (!changed) return pass(changed);
  return {};
}

Result<std::uint64_t> Outbox::retry_dead() {
  std::vector<std::uint64_t> dead;
  auto visited = visit_all(
      *store_.impl_,
      [&](const Event& event) {
        if (event.status == EventStatus::dead) dead.push_back(event.sequence);
        return true;
      },
      [](std::uint64_t, const Error&) { return true; });
  if (!visited) return pass(visited);
  return retry_all(*store_.impl_, dead);
}

Result<void> Outbox::drop(std::string_view id) {
  auto found = find(*store_.impl_, id);
  if (!found) return pass(found);
  return outbox::edit(*store_.impl_, *found,
                      [&](std::span<const std::optional<Event>> events, Time) {
                        engine::OutboxChange change;
                        for (const auto& event : events) {
                          if (event && event->status != EventStatus::delivered) {
                            change.erase.push_back(event->sequence);
                          }
                        }
                        return change;
                      });
}

Result<void> Outbox::drop_unreadable(std::uint64_t sequence) {
  Store::Impl& store = *store_.impl_;
  auto in_use = store.use();
  if (!in_use) return pass(in_use);
  std::optional<Result<Event>> found;
  {
    auto reading = store.engine->read();
    if (!reading) return pass(reading);
    constexpr auto none_behind = std::numeric_limits<std::uint64_t>::max();
    auto visited = (*reading)->events(std::span(&sequence, 1), none_behind,
                                      [&](std::uint64_t, const Result<Event>& event) {
                                        found = event;
                                        return false;
                                      });
    if (!visited) return pass(visited);
  }
  if (!found) {
    return fail(ErrorCode::not_found,
                "there is no event with sequence {}; `once outbox ls STORE` lists those that are "
                "not delivered",
                sequence);
  }
  if (*found) {
    return fail(ErrorCode::conflict,
                "the event with sequence {} can be read, and only others are removed by their "
                "sequence; if it is to go, drop it by its id: once outbox drop STORE {}",
                sequence, escape((*found)->id));
  }
  // It stays as it is until then: nobody writes over what cannot be read.
  return outbox::edit(store, {}, [&](std::span<const std::optional<Event>>, Time) {
    return engine::OutboxChange{.erase = {sequence}};
  });
}

}  // namespace once
