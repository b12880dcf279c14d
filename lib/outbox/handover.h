// Events that are with the publisher, each on a thread of its own: one that hangs keeps no other.
//
//   Handover handover(4, publish, came_back);
//   if (handover.room() > 0) handover.begin(event);
//   for (Handover::Back& back : handover.take()) note(back.event, back.answer);
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "once/error.h"
#include "once/event.h"

namespace once::outbox {

// Thread-safe.
class Handover {
 public:
  struct Back {
    Event event{};
    Result<void> answer{};
  };
  using Publish = std::function<Result<void>(const Event&)>;

  // At most `most` threads, each started when there is an event for it. Neither function throws;
  // `came_back` is called without a lock, on the thread that the event was on.
  Handover(std::size_t most, Publish publish, std::function<void()> came_back);
  // Waits for what is under way.
  ~Handover();
  Handover(const Handover&) = delete;
  Handover& operator=(const Handover&) = delete;

  // How many more may be begun before others are taken back.
  [[nodiscard]] std::size_t room() const;
  // Hands an event over, for which there must be room. Where the system has no thread to give, on
  // the caller's.
  void begin(Event event);
  // What has come back.
  [[nodiscard]] std::vector<Back> take();
  // Begun and not taken back.
  [[nodiscard]] std::size_t out() const;
  // Until all that was begun has come back.
  void wait_for_all();
  // Until something has come back, or `clock` reads `deadline` since boot.
  void wait(const Clock& clock, Duration deadline);

 private:
  void run();
  void publish(Event event);

  const std::size_t most_;
  const Publish publish_;
  const std::function<void()> came_back_;
  mutable Mutex mutex_;
  CondVar begun_;
  CondVar back_changed_;
  std::deque<Event> waiting_ ONCE_GUARDED_BY(mutex_);  // for a thread that is about to take them
  std::vector<Back> back_ ONCE_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ONCE_GUARDED_BY(mutex_);
  std::size_t out_ ONCE_GUARDED_BY(mutex_) = 0;
  std::size_t idle_ ONCE_GUARDED_BY(mutex_) = 0;  // threads that wait, or are about to
  bool over_ ONCE_GUARDED_BY(mutex_) = false;
};

}  // namespace once::outbox
