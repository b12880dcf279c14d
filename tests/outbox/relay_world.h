// A store with a relay whose publisher does what the test says.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "once/outbox.h"
#include "store/fixture.h"

namespace once::testing {

// Remembers what was delivered. Copies of it remember together.
class Receiver {
 public:
  using Answer = std::function<Result<void>(const Event&)>;

  [[nodiscard]] std::unique_ptr<Publisher> publisher() const {
    return callback_publisher([state = state_](const Event& event) -> Result<void> {
      Answer answer;
      {
        MutexLock lock(state->mutex);
        answer = state->answer;
      }
      const auto result = answer ? answer(event) : Result<void>{};
      MutexLock lock(state->mutex);
      ++state->calls;
      if (result) state->taken.push_back(event);
      state->changed.notify_all();
      return result;
    });
  }
  // What it answers from now on; called on the relay's thread.
  void answer(Answer answer) const {
    MutexLock lock(state_->mutex);
    state_->answer = std::move(answer);
  }
  // Ids, in the order in which they were taken.
  [[nodiscard]] std::vector<std::string> taken() const {
    MutexLock lock(state_->mutex);
    std::vector<std::string> ids;
    for (const Event& event : state_->taken) ids.push_back(event.id);
    return ids;
  }
  [[nodiscard]] std::vector<Event> events() const {
    MutexLock lock(state_->mutex);
    return state_->taken;
  }
  [[nodiscard]] int calls() const {
    MutexLock lock(state_->mutex);
    return state_->calls;
  }
  // Waits until so many were taken, or called for; ends the test case after a minute.
  void wait_for(std::size_t taken, int calls = 0) const {
    const auto clock = system_clock();
    const Duration deadline = clock->since_boot() + std::chrono::minutes(1);
    MutexLock lock(state_->mutex);
    while (state_->taken.size() < taken || state_->calls < calls) {
      if (clock->since_boot() >= deadline) FAIL("nothing was delivered for a minute");
      state_->changed.wait_until(state_->mutex, *clock, deadline);
    }
  }

 private:
  struct State {
    Mutex mutex{};
    CondVar changed{};
    Answer answer ONCE_GUARDED_BY(mutex){};
    std::vector<Event> taken ONCE_GUARDED_BY(mutex){};
    int calls ONCE_GUARDED_BY(mutex) = 0;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

inline Event event(std::string id, std::string aggregate, Bytes payload = "{}") {
  return {.id = std::move(id),
          .aggregate_type = "order",
          .aggregate_id = std::move(aggregate),
          .type = "order.changed",
          .payload = std::move(payload)};
}

inline std::map<std::string, Event> events_of(Store& store) {
  std::map<std::string, Event> events;
  value_of(store.events({}, [&](const Event& event) {
    events[event.id] = event;
    return true;
  }));
  return events;
}

using Ids = std::vector<std::string>;

}  // namespace once::testing
