// With several events at once the next of an aggregate is handed over when the one before has come
// back, before that is noted. If it was not (the flush failed, or the commit), the next one was
// noted as delivered all the same, and the one before delivered again after it, as the last word.
#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "outbox/relay_world.h"

using namespace once;
using namespace once::testing;

namespace {

// A broker's client: what is handed over is sure only after a flush, and lost if that fails.
class Broker final : public Publisher {
 public:
  struct State {
    Mutex mutex{};
    CondVar changed{};
    Ids handed ONCE_GUARDED_BY(mutex){};
    Ids sure ONCE_GUARDED_BY(mutex){};
    bool failed ONCE_GUARDED_BY(mutex) = false;
  };

  explicit Broker(State& state) : state_(state) {}
  Result<void> publish(const Event& event) override {
    MutexLock lock(state_.mutex);
    // Under way until the flush of the first one has failed.
    while (event.id == "2" && !state_.failed) state_.changed.wait(state_.mutex);
    state_.handed.push_back(event.id);
    return {};
  }
  Result<void> flush() override {
    MutexLock lock(state_.mutex);
    const Ids handed = std::exchange(state_.handed, {});
    if (!std::exchange(state_.failed, true)) {
      state_.changed.notify_all();
      return fail(ErrorCode::io, "the broker did not confirm");
    }
    state_.sure.insert(state_.sure.end(), handed.begin(), handed.end());
    return {};
  }
  [[nodiscard]] std::size_t at_once() const override { return 2; }

 private:
  State& state_;
};

}  // namespace

TEST_CASE("what follows one whose flush failed is delivered after it") {
  Store store = value_of(Store::open("memory:"));
  for (const char* id : {"1", "2", "3"}) value_of(store.publish(event(id, "a")));
  Broker::State state;
  auto relay = value_of(Relay::start(
      store, std::make_unique<Broker>(state),
      {.poll_interval = 10ms, .backoff = {.initial = 10ms, .max = 10ms, .jitter = 0}, .seed = 1}));
  const auto all_delivered = [&] {
    for (const auto& [id, event] : events_of(store)) {
      if (event.status != EventStatus::delivered) return false;
    }
    return true;
  };
  while (!all_delivered()) std::this_thread::yield();
  value_of(relay->stop());
  MutexLock lock(state.mutex);
  // Each may come again, but whoever goes by what came last has it from the last event.
  Ids last;
  for (const std::string& id : state.sure) {
    std::erase(last, id);
    last.push_back(id);
  }
  CHECK(last == Ids{"1", "2", "3"});
}
