// Several events at once: one that hangs keeps its aggregate and nothing else, and all that a relay
// promises holds.
#include <doctest/doctest.h>

#include <atomic>
#include <set>
#include <stdexcept>
#include <thread>

#include "once/outbox.h"
#include "relay_world.h"

using namespace once;
using namespace once::testing;

namespace {

// A receiver whose calls for some events do not come back before they are let go.
class Gate {
 public:
  explicit Gate(std::size_t at_once) : at_once_(at_once) {}
  [[nodiscard]] std::unique_ptr<Publisher> publisher() {
    return callback_publisher([this](const Event& event) { return take(event); }, at_once_);
  }

  // Events with such an id hang from now on.
  void hang(const std::string& id) {
    MutexLock lock(mutex_);
    hanging_.insert(id);
  }
  void let_go() {
    MutexLock lock(mutex_);
    hanging_.clear();
    changed_.notify_all();
  }
  // What the others, and those that were let go, are answered.
  void answer(std::function<Result<void>(const Event&)> answer) {
    MutexLock lock(mutex_);
    answer_ = std::move(answer);
  }
  // Until so many are taken, and so many hang; ends the test case after a minute.
  void wait_for(std::size_t taken, std::size_t hanging) {
    const auto clock = system_clock();
    const Duration deadline = clock->since_boot() + 1min;
    MutexLock lock(mutex_);
    while (taken_.size() < taken || inside_ < hanging) {
      if (clock->since_boot() >= deadline) FAIL("nothing has happened for a minute");
      changed_.wait_until(mutex_, *clock, deadline);
    }
  }
  // Ids, in the order in which they were taken.
  [[nodiscard]] Ids taken() {
    MutexLock lock(mutex_);
    return taken_;
  }
  [[nodiscard]] std::size_t most_at_once() {
    MutexLock lock(mutex_);
    return most_;
  }
  // Two of one aggregate at the same time.
  [[nodiscard]] bool overlapped() {
    MutexLock lock(mutex_);
    return overlapped_;
  }

 private:
  Result<void> take(const Event& event) {
    std::function<Result<void>(const Event&)> answer;
    {
      MutexLock lock(mutex_);
      most_ = std::max(most_, ++at_work_);
      overlapped_ = aggregates_.contains(event.aggregate_id) || overlapped_;
      aggregates_.insert(event.aggregate_id);
      ++inside_;
      changed_.notify_all();
      while (hanging_.contains(event.id)) changed_.wait(mutex_);
      --inside_;
      answer = answer_;
    }
    auto answered = answer ? answer(event) : Result<void>{};
    MutexLock lock(mutex_);
    if (answered) taken_.push_back(event.id);
    aggregates_.erase(aggregates_.find(event.aggregate_id));
    --at_work_;
    changed_.notify_all();
    return answered;
  }

  const std::size_t at_once_;
  Mutex mutex_{};
  CondVar changed_{};
  std::set<std::string> hanging_ ONCE_GUARDED_BY(mutex_){};
  std::function<Result<void>(const Event&)> answer_ ONCE_GUARDED_BY(mutex_){};
  Ids taken_ ONCE_GUARDED_BY(mutex_){};
  std::multiset<std::string> aggregates_ ONCE_GUARDED_BY(mutex_){};
  std::size_t inside_ ONCE_GUARDED_BY(mutex_) = 0;
  std::size_t at_work_ ONCE_GUARDED_BY(mutex_) = 0;
  std::size_t most_ ONCE_GUARDED_BY(mutex_) = 0;
  bool overlapped_ ONCE_GUARDED_BY(mutex_) = false;
};

RelayOptions two_at_once() {
  return {.poll_interval = 24h,
          .at_once = 2,
          .backoff = {.initial = 1ms, .max = 1ms, .multiplier = 1, .jitter = 0},
          .seed = 1};
}

void publish(Store& store, const std::string& id, const std::string& aggregate) {
  value_of(store.publish(event(id, aggregate), Durability::buffered));
}

std::size_t delivered(Store& store) {
  std::size_t count = 0;
  value_of(store.events({.status = EventStatus::delivered}, [&](const Event&) {
    ++count;
    return true;
  }));
  return count;
}

// Until so many count as delivered; ends the test case after a minute.
void wait_for_delivered(Store& store, std::size_t count) {
  const Duration deadline = system_clock()->since_boot() + 1min;
  while (delivered(store) < count) {
    if (system_clock()->since_boot() >= deadline) FAIL("nothing was noted for a minute");
    std::this_thread::yield();
  }
}

Result<void> down(const Event&) {
  return fail(ErrorCode::io, "the receiver is down");
}

}  // namespace

TEST_CASE("while one hangs, those of other aggregates are delivered, and noted") {
  Store store = value_of(Store::open("memory:"));
  Gate gate(2);
  gate.hang("a1");
  auto relay = value_of(Relay::start(store, gate.publisher(), two_at_once()));
  publish(store, "a1", "a");
  gate.wait_for(0, 1);
  publish(store, "a2", "a");
  Ids others;
  for (int i = 0; i < 300; ++i) {
    others.push_back("b" + std::to_string(i));
    publish(store, others.back(), "b");
  }
  gate.wait_for(300, 1);
  CHECK(gate.taken() == others);  // one aggregate, and so in their order
  wait_for_delivered(store, 300);
  // What comes now does not wait either.
  publish(store, "c1", "c");
  publish(store, "none", "");
  gate.wait_for(302, 1);
  wait_for_delivered(store, 302);
  CHECK(relay->status().active);
  gate.let_go();
  gate.wait_for(304, 0);
  wait_for_delivered(store, 304);
  const Ids taken = gate.taken();
  CHECK(std::ranges::find(taken, "a1") < std::ranges::find(taken, "a2"));
  value_of(relay->stop());
  CHECK(value_of(Outbox(store).lag()).pending == 0);
  CHECK(relay->status().delivered == 304);
  CHECK(gate.most_at_once() == 2);
  CHECK(problems_of(store) == 0);
}

TEST_CASE("at most so many at once, of different aggregates, each in its order") {
  for (const std::size_t at_once : {2U, 5U}) {
    CAPTURE(at_once);
    Store store = value_of(Store::open("memory:"));
    Gate gate(at_once + 1);
    std::atomic<std::uint32_t> calls = 0;
    gate.answer([&](const Event& event) -> Result<void> {
      std::this_thread::yield();
      return ++calls % 7 == 0 ? down(event) : Result<void>{};
    });
    RelayOptions options = two_at_once();
    options.at_once = at_once;
    options.batch = 10;
    options.max_retries = 1'000'000;
    auto relay = value_of(Relay::start(store, gate.publisher(), options));
    constexpr int events = 600;
    constexpr int aggregates = 9;
    for (int i = 0; i < events; ++i)
      publish(store, std::to_string(i), std::to_string(i % aggregates));
    gate.wait_for(events, 0);
    wait_for_delivered(store, events);
    value_of(relay->stop());
    CHECK(gate.most_at_once() == at_once);
    CHECK_FALSE(gate.overlapped());
    std::vector<int> last(aggregates, -1);
    for (const std::string& id : gate.taken()) {
      const int number = std::stoi(id);
      int& before = last[static_cast<std::size_t>(number % aggregates)];
      CHECK(number == before + (before < 0 ? number % aggregates + 1 : aggregates));
      before = number;
    }
    CHECK(gate.taken().size() == events);  // none twice
    CHECK(problems_of(store) == 0);
  }
}

TEST_CASE("a publisher that takes one at a time is called on the thread that delivers") {
  Store store = value_of(Store::open("memory:"));
  const std::thread::id here = std::this_thread::get_id();
  const auto on_this_thread = [&](std::size_t publisher, std::size_t relay) {
    std::atomic<bool> same = true;
    RelayOptions options = two_at_once();
    options.at_once = relay;
    auto made = value_of(Relay::create(store,
                                       callback_publisher(
                                           [&](const Event&) -> Result<void> {
                                             if (std::this_thread::get_id() != here) same = false;
                                             return {};
                                           },
                                           publisher),
                                       options));
    for (const char* id : {"a1", "b1"}) publish(store, id, std::string(1, id[0]));
    CHECK(value_of(made->deliver_now()).delivered == 2);
    return same.load();
  };
  CHECK(on_this_thread(1, 4));
  CHECK(on_this_thread(4, 1));
  CHECK(on_this_thread(0, 4));
  CHECK_FALSE(on_this_thread(2, 2));
}

TEST_CASE("receivers that hang again and again leave room for new events") {
  Store store = value_of(Store::open("memory:"));
  Gate gate(2);
  gate.answer(down);
  auto relay = value_of(Relay::start(store, gate.publisher(), two_at_once()));
  for (const char* id : {"a1", "b1", "c1"}) publish(store, id, std::string(1, id[0]));
  // Each has failed.
  const auto all_failed = [&] {
    bool all = true;
    for (const auto& [id, event] : events_of(store)) all = all && event.retries > 0;
    return all;
  };
  while (!all_failed()) std::this_thread::yield();
  for (const char* id : {"a1", "b1", "c1"}) gate.hang(id);
  gate.wait_for(0, 1);
  gate.answer({});
  for (int i = 0; i < 100; ++i) publish(store, std::to_string(i), std::to_string(i));
  gate.wait_for(100, 1);
  wait_for_delivered(store, 100);
  gate.let_go();
  wait_for_delivered(store, 103);
}

TEST_CASE("each attempt is counted before the next one is made, while another hangs") {
  Store store = value_of(Store::open("memory:"));
  Gate gate(2);
  gate.hang("slow");
  std::atomic<std::uint32_t> attempts = 0;
  gate.answer([&](const Event& event) -> Result<void> {
    if (event.id == "slow") return {};
    CHECK(event.retries == attempts);
    ++attempts;
    return down(event);
  });
  RelayOptions options = two_at_once();
  options.max_retries = 2;
  auto relay = value_of(Relay::start(store, gate.publisher(), options));
  publish(store, "slow", "slow");
  publish(store, "a1", "a");
  while (value_of(Outbox(store).lag()).dead == 0) std::this_thread::yield();
  CHECK(attempts == 3);
  CHECK(events_of(store)["a1"].retries == 3);
  gate.let_go();
  wait_for_delivered(store, 1);
}

TEST_CASE("what failed before has its turn beside a stream of new events") {
  Store store = value_of(Store::open("memory:"));
  Gate gate(2);
  std::atomic<int> published = 0;  // beside the first ones
  std::atomic<bool> again = false;
  gate.answer([&](const Event& event) -> Result<void> {
    if (event.id != "old") {
      const int next = ++published;
      if (!again) publish(store, std::to_string(next), std::to_string(next));
      return {};
    }
    if (event.retries == 0) return down(event);
    again = true;
    return {};
  });
  publish(store, "old", "old");
  // So many are always there.
  for (int i = 0; i < 10; ++i) publish(store, "first" + std::to_string(i), std::to_string(-i));
  auto relay = value_of(Relay::start(store, gate.publisher(), two_at_once()));
  const Duration deadline = system_clock()->since_boot() + 1min;
  while (!again && system_clock()->since_boot() < deadline) std::this_thread::yield();
  CHECK(again);
  value_of(relay->stop());
}

TEST_CASE("deciding by hand while one hangs: it is not handed over twice, and others go on") {
  Store store = value_of(Store::open("memory:"));
  Gate gate(3);
  gate.hang("a2");
  gate.answer([&](const Event& event) -> Result<void> {
    if (event.id == "a1" || event.id == "d1") {
      return std::unexpected(work_failed("no", "never"));
    }
    return {};
  });
  RelayOptions options = two_at_once();
  options.at_once = 3;
  options.after_dead_letter = AfterDeadLetter::skip;
  auto relay = value_of(Relay::start(store, gate.publisher(), options));
  publish(store, "d1", "d");
  publish(store, "a1", "a");
  publish(store, "a2", "a");
  publish(store, "a3", "a");
  gate.wait_for(0, 1);
  while (value_of(Outbox(store).lag()).dead != 2) std::this_thread::yield();
  gate.answer({});
  // An earlier one of the same aggregate, which waits for the one that hangs; and another one,
  // which does not.
  CHECK(value_of(Outbox(store).retry_dead()) == 2);
  wait_for_delivered(store, 1);
  CHECK(gate.taken() == Ids{"d1"});
  gate.let_go();
  wait_for_delivered(store, 4);
  CHECK(gate.taken() == Ids{"d1", "a2", "a1", "a3"});
  CHECK_FALSE(gate.overlapped());

  // One that is dropped while it hangs stays dropped, whatever comes back.
  gate.hang("e1");
  publish(store, "e1", "e");
  gate.wait_for(4, 1);
  value_of(Outbox(store).drop("e1"));
  publish(store, "f1", "f");
  wait_for_delivered(store, 5);
  gate.let_go();
  gate.wait_for(6, 0);
  value_of(relay->stop());
  CHECK_FALSE(events_of(store).contains("e1"));
  CHECK(value_of(Outbox(store).lag()).pending == 0);
  CHECK(problems_of(store) == 0);
}

TEST_CASE("stopping begins no other, waits for what is under way, and notes it") {
  Store store = value_of(Store::open("memory:"));
  Gate gate(2);
  for (const char* id : {"a1", "b1"}) gate.hang(id);
  auto relay = value_of(Relay::start(store, gate.publisher(), two_at_once()));
  for (const char* id : {"a1", "a2", "b1", "c1"}) publish(store, id, std::string(1, id[0]));
  gate.wait_for(0, 2);
  std::thread stopper([&] { value_of(relay->stop()); });
  // Not before it has begun to: then nobody asks for more.
  const auto stopped = [&] { return !relay->status().active; };
  CHECK_FALSE(stopped());
  gate.let_go();
  stopper.join();
  CHECK(stopped());
  const std::size_t done = delivered(store);
  CHECK(done == gate.taken().size());
  CHECK(done >= 2);
  CHECK(value_of(relay->deliver_now()).delivered == 4 - done);
}

TEST_CASE("a stop ends a call in the middle of a backlog, and is refused from the publisher") {
  Store store = value_of(Store::open("memory:"));
  Gate gate(2);
  auto relay = value_of(Relay::create(store, gate.publisher(), two_at_once()));
  constexpr std::size_t events = 5000;
  for (std::size_t i = 0; i < events; ++i) publish(store, std::to_string(i), std::to_string(i));
  std::atomic<bool> stopping = false;
  gate.answer([&](const Event& event) -> Result<void> {
    // On a thread of the relay's, which must not wait for itself.
    if (event.id == "1") {
      CHECK(error_of(relay->stop()) == ErrorCode::invalid_argument);
      CHECK(error_of(relay->deliver_now()) == ErrorCode::invalid_argument);
    }
    if (event.id == "50") stopping.wait(false);
    return {};
  });
  Result<DeliveryReport> report;
  std::thread deliverer([&] { report = relay->deliver_now(); });
  gate.wait_for(50, 0);
  std::thread stopper([&] {
    stopping = true;
    stopping.notify_all();
    value_of(relay->stop());
  });
  deliverer.join();
  stopper.join();
  CHECK(value_of(report).delivered == delivered(store));
  CHECK(gate.taken().size() == delivered(store));
  CHECK(delivered(store) < events);
}

TEST_CASE("limits of one call: so many attempts, and a time after which others go only meanwhile") {
  const Simulation simulation;
  Store store = simulation.open();
  Gate gate(2);
  auto relay = value_of(Relay::create(store, gate.publisher(), two_at_once()));
  constexpr int events = 500;
  for (int i = 0; i < events; ++i) publish(store, std::to_string(i), std::to_string(i));
  CHECK(value_of(relay->deliver_now(7)).delivered == 7);
  CHECK(value_of(relay->deliver_now(1)).delivered == 1);
  // Two are begun before it looks at the time, and others until the slower one is back.
  const auto early = value_of(relay->deliver_now(0, 0ms)).delivered;
  CHECK(early >= 2);
  CHECK(early < events / 2);
  CHECK(value_of(relay->deliver_now()).delivered == events - 8 - early);

  gate.hang("slow");
  publish(store, "slow", "slow");
  Result<DeliveryReport> report;
  std::thread deliverer([&] { report = relay->deliver_now(0, 1s); });
  gate.wait_for(events, 1);
  simulation.clock->advance(2s);
  for (int i = 0; i < 5; ++i) publish(store, "x" + std::to_string(i), std::to_string(i));
  gate.wait_for(events + 5, 1);
  gate.let_go();
  deliverer.join();
  CHECK(value_of(report).delivered == 6);
}

TEST_CASE("a flush that fails counts for what has come back, and not for what is under way") {
  class Buffering final : public Publisher {
   public:
    explicit Buffering(Gate& gate, std::atomic<bool>& broken)
        : gate_(gate.publisher()), broken_(broken) {}
    Result<void> publish(const Event& event) override { return gate_->publish(event); }
    Result<void> flush() override {
      if (broken_) return fail(ErrorCode::io, "the disk is gone");
      return {};
    }
    [[nodiscard]] std::size_t at_once() const override { return 2; }

   private:
    const std::unique_ptr<Publisher> gate_;
    std::atomic<bool>& broken_;
  };
  Store store = value_of(Store::open("memory:"));
  Gate gate(2);
  gate.hang("a1");
  std::atomic<bool> broken = true;
  auto relay =
      value_of(Relay::start(store, std::make_unique<Buffering>(gate, broken), two_at_once()));
  publish(store, "a1", "a");
  publish(store, "b1", "b");
  while (events_of(store)["b1"].retries == 0) std::this_thread::yield();
  CHECK(events_of(store)["a1"].retries == 0);
  CHECK(delivered(store) == 0);
  broken = false;
  wait_for_delivered(store, 1);
  gate.let_go();
  wait_for_delivered(store, 2);
}

TEST_CASE("a relay that was taken over from notes nothing of what was under way") {
  const Simulation simulation;
  Store store = simulation.open();
  RelayOptions options = two_at_once();
  options.heartbeat = false;
  Gate gate(2);
  gate.hang("a1");
  const Receiver by_second;
  auto first = value_of(Relay::create(store, gate.publisher(), options));
  auto second = value_of(Relay::create(store, by_second.publisher(), options));
  publish(store, "a1", "a");
  Result<DeliveryReport> report;
  std::thread deliverer([&] { report = first->deliver_now(); });
  gate.wait_for(0, 1);
  by_second.answer(down);
  simulation.clock->advance(options.lease);
  CHECK(value_of(second->deliver_now()).failed == 1);
  gate.let_go();
  deliverer.join();
  CHECK(error_of(report) == ErrorCode::fenced);
  CHECK(delivered(store) == 0);
  CHECK(events_of(store)["a1"].retries == 1);
  simulation.clock->advance(1s);
  CHECK(value_of(first->deliver_now()).delivered == 1);
}

TEST_CASE("closing the store while one hangs ends the work; it is delivered again") {
  Store store = value_of(Store::open("memory:"));
  Gate gate(2);
  gate.hang("a1");
  auto relay = value_of(Relay::start(store, gate.publisher(), two_at_once()));
  publish(store, "a1", "a");
  gate.wait_for(0, 1);
  // Does not wait for what hangs.
  value_of(store.close());
  CHECK(error_of(relay->deliver_now()) == ErrorCode::closed);
  // That does: what the publisher uses may go after it.
  std::atomic<bool> stopping = false;
  std::thread lets_go([&] {
    while (!stopping) std::this_thread::yield();
    gate.let_go();
  });
  stopping = true;
  value_of(relay->stop());
  CHECK(gate.taken() == Ids{"a1"});
  lets_go.join();
}

TEST_CASE("what a publisher throws on a thread of the relay's is a failure like any other") {
  Store store = value_of(Store::open("memory:"));
  Gate gate(2);
  gate.answer([](const Event& event) -> Result<void> {
    if (event.id == "a1") throw std::runtime_error("boom");
    throw 7;  // NOLINT
  });
  RelayOptions options = two_at_once();
  options.backoff.initial = options.backoff.max = 1h;
  auto relay = value_of(Relay::create(store, gate.publisher(), options));
  for (const char* id : {"a1", "b1"}) publish(store, id, std::string(1, id[0]));
  CHECK(value_of(relay->deliver_now()).failed == 2);
  CHECK(events_of(store)["a1"].last_error.find("boom") != std::string::npos);
}

TEST_CASE("so many at once as there can be, and none, are refused") {
  Store store = value_of(Store::open("memory:"));
  for (const std::size_t at_once :
       {std::size_t{0}, max_events_at_once + 1, std::size_t{1'000'000}}) {
    const auto made = Relay::create(store, Receiver().publisher(), {.at_once = at_once});
    CHECK(error_of(made) == ErrorCode::invalid_argument);
    CHECK(made.error().message.find("give 1 to 64") != std::string::npos);
  }
}
