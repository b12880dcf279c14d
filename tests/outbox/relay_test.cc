// What a relay promises, under a clock that the test moves.
#include <doctest/doctest.h>

#include <stdexcept>
#include <thread>

#include "once/outbox.h"
#include "relay_world.h"

using namespace once;
using namespace once::testing;

namespace {

// Without jitter: delays are 1 s, 2 s, 4 s, ...
RelayOptions plain() {
  return {.backoff = {.initial = 1s, .max = 1min, .multiplier = 2, .jitter = 0},
          .max_retries = 3,
          .seed = 1};
}

struct World {
  Simulation simulation;
  Store store = simulation.open();
  Receiver receiver;
  std::unique_ptr<Relay> relay;

  explicit World(const RelayOptions& options = plain())
      : relay(value_of(Relay::create(store, receiver.publisher(), options))) {}

  void publish(const std::string& id, const std::string& aggregate) {
    value_of(store.publish(event(id, aggregate)));
  }
  DeliveryReport deliver() { return value_of(relay->deliver_now()); }
  void pass(Duration time) const { simulation.clock->advance(time); }
};

Result<void> down(const Event&) {
  return fail(ErrorCode::io, "the receiver is down");
}

}  // namespace

TEST_CASE("an event is delivered whole, once, and kept as delivered") {
  World world;
  Event sent = event("e1", "a", Bytes("\0\xff", 2));
  sent.headers = {{"h", "1"}};
  sent.metadata = {{"m", "2"}};
  const std::uint64_t sequence = value_of(world.store.publish(sent));
  world.pass(5s);
  CHECK(world.deliver().delivered == 1);
  CHECK(world.deliver().delivered == 0);
  REQUIRE(world.receiver.events().size() == 1);
  const Event got = world.receiver.events()[0];
  CHECK(got.sequence == sequence);
  CHECK(got.payload == sent.payload);
  CHECK(got.headers == sent.headers);
  CHECK(got.metadata == sent.metadata);
  const Event kept = events_of(world.store)["e1"];
  CHECK(kept.status == EventStatus::delivered);
  CHECK(kept.published_at == got.created_at + 5s);
  CHECK(kept.expires_at == kept.published_at + 24h * 7);
  CHECK(problems_of(world.store) == 0);
}

TEST_CASE("an event committed with an outcome is delivered; one of a failed transaction is not") {
  World world;
  value_of(world.store.transact(
      "k", [](Transaction& tx) -> Result<void> { return tx.publish(event("with", "a")); }));
  (void)world.store.transact("l", [](Transaction& tx) -> Result<void> {
    value_of(tx.publish(event("without", "a")));
    return std::unexpected(work_failed("no", ""));
  });
  world.deliver();
  CHECK(world.receiver.taken() == Ids{"with"});
}

TEST_CASE("what was delivered is not delivered again after reopening, and the rest is") {
  const TemporaryDirectory directory(quick_place());
  const Simulation simulation;
  const Receiver receiver;
  for (int i = 0; i < 3; ++i) {
    Store store = simulation.open(directory.file("store"));
    value_of(store.publish(event("a" + std::to_string(i), "a")));
    receiver.answer({});
    auto relay = value_of(Relay::create(store, receiver.publisher(), plain()));
    CHECK(value_of(relay->deliver_now()).delivered == (i == 0 ? 1 : 2));
    receiver.answer(down);
    value_of(store.publish(event("b" + std::to_string(i), "b" + std::to_string(i))));
    CHECK(value_of(relay->deliver_now()).failed == 1);
    simulation.clock->advance(1s);
  }
  // What was never tried goes before what failed.
  CHECK(receiver.taken() == Ids{"a0", "a1", "b0", "a2", "b1"});
}

TEST_CASE("events of an aggregate stay in order, and one that fails holds up no other aggregate") {
  World world;
  for (const char* id : {"a1", "b1", "a2", "b2", "a3"}) world.publish(id, std::string(1, id[0]));
  world.receiver.answer([](const Event& event) -> Result<void> {
    return event.id == "a1" ? down(event) : Result<void>{};
  });
  CHECK(world.deliver().failed == 1);
  CHECK(world.receiver.taken() == Ids{"b1", "b2"});
  world.receiver.answer({});
  CHECK(world.deliver().delivered == 0);  // not before its time
  world.pass(999ms);
  CHECK(world.deliver().delivered == 0);
  world.pass(1ms);
  CHECK(world.deliver().delivered == 3);
  CHECK(world.receiver.taken() == Ids{"b1", "b2", "a1", "a2", "a3"});
}

TEST_CASE("aggregates are told apart by type and id together") {
  World world;
  for (const auto& [type, id] : std::vector<std::pair<std::string, std::string>>{
           {"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"", "abc"}}) {
    Event each = event(type + "|" + id, id);
    each.aggregate_type = type;
    value_of(world.store.publish(each));
  }
  world.receiver.answer([](const Event& event) -> Result<void> {
    return event.id == "a|bc" ? down(event) : Result<void>{};
  });
  CHECK(world.deliver().delivered == 3);
}

TEST_CASE("events without an aggregate wait for nobody") {
  World world;
  for (const char* id : {"1", "2", "3"}) value_of(world.store.publish({.id = id}));
  world.receiver.answer([](const Event& event) -> Result<void> {
    return event.id == "1" ? down(event) : Result<void>{};
  });
  CHECK(world.deliver().delivered == 2);
}

TEST_CASE("delays grow, and what has failed too often is a dead letter that blocks its aggregate") {
  World world;
  world.publish("a1", "a");
  world.publish("a2", "a");
  world.publish("b1", "b");
  world.receiver.answer([](const Event& event) -> Result<void> {
    return event.id == "a1" ? down(event) : Result<void>{};
  });
  std::uint32_t retries = 0;
  for (const Duration delay : {1s, 2s, 4s}) {
    CHECK(world.deliver().failed == 1);
    Event waiting = events_of(world.store)["a1"];
    CHECK(waiting.status == EventStatus::pending);
    CHECK(waiting.retries == ++retries);
    CHECK(waiting.last_error == "the receiver is down");
    world.pass(delay - 1ms);
    const DeliveryReport early = world.deliver();
    CHECK(early.failed + early.dead == 0);
    world.pass(1ms);
  }
  CHECK(world.deliver().dead == 1);
  CHECK(events_of(world.store)["a1"].status == EventStatus::dead);
  world.pass(24h);
  world.receiver.answer({});
  CHECK(world.deliver().delivered == 0);
  world.publish("a3", "a");
  world.publish("b2", "b");
  CHECK(world.deliver().delivered == 1);
  CHECK(world.receiver.taken() == Ids{"b1", "b2"});
  const RelayStatus status = world.relay->status();
  CHECK(status.pending == 2);
  CHECK(status.dead == 1);
  CHECK(status.oldest_age >= 24h);

  value_of(Outbox(world.store).retry("a1"));
  CHECK(world.deliver().delivered == 3);
  CHECK(world.receiver.taken() == Ids{"b1", "b2", "a1", "a2", "a3"});
  CHECK(problems_of(world.store) == 0);
}

TEST_CASE("a definite failure is a dead letter at once") {
  World world;
  world.publish("a1", "a");
  world.receiver.answer(
      [](const Event&) -> Result<void> { return std::unexpected(work_failed("410", "gone")); });
  CHECK(world.deliver().dead == 1);
  CHECK(events_of(world.store)["a1"].last_error == "gone");
}

TEST_CASE("skipping a dead letter lets its aggregate go on") {
  RelayOptions options = plain();
  options.after_dead_letter = AfterDeadLetter::skip;
  options.max_retries = 0;
  World world(options);
  for (const char* id : {"a1", "a2", "a3"}) world.publish(id, "a");
  world.receiver.answer([](const Event& event) -> Result<void> {
    return event.id == "a2" ? down(event) : Result<void>{};
  });
  const DeliveryReport report = world.deliver();
  CHECK(report.delivered == 2);
  CHECK(report.dead == 1);
  CHECK(world.receiver.taken() == Ids{"a1", "a3"});
  world.receiver.answer({});
  CHECK(value_of(Outbox(world.store).retry_dead()) == 1);
  CHECK(world.deliver().delivered == 1);
}

TEST_CASE("a dead letter that is dropped is gone, and its aggregate goes on") {
  RelayOptions options = plain();
  options.max_retries = 0;
  World world(options);
  for (const char* id : {"a1", "a2"}) world.publish(id, "a");
  world.receiver.answer(down);
  CHECK(world.deliver().dead == 1);
  world.receiver.answer({});
  value_of(Outbox(world.store).drop("a1"));
  CHECK(world.deliver().delivered == 1);
  CHECK(world.receiver.taken() == Ids{"a2"});
  CHECK(events_of(world.store).size() == 1);
}

TEST_CASE("deciding by hand: what is not there, and what was delivered, is told") {
  World world;
  Outbox outbox(world.store);
  CHECK(error_of(outbox.retry("none")) == ErrorCode::not_found);
  CHECK(error_of(outbox.drop("none")) == ErrorCode::not_found);
  world.publish("a1", "a");
  world.deliver();
  CHECK(error_of(outbox.retry("a1")) == ErrorCode::conflict);
  CHECK(error_of(outbox.drop("a1")) == ErrorCode::conflict);
  CHECK(value_of(outbox.retry_dead()) == 0);
}

TEST_CASE("lag tells what waits, and since when") {
  World world;
  Outbox outbox(world.store);
  CHECK(value_of(outbox.lag()).oldest == Time{});
  world.publish("a1", "a");
  world.pass(3s);
  world.publish("b1", "b");
  world.receiver.answer([](const Event& event) -> Result<void> {
    return event.id == "a1" ? down(event) : Result<void>{};
  });
  world.deliver();
  world.publish("b2", "b");
  const OutboxLag lag = value_of(outbox.lag());
  CHECK(lag.pending == 2);
  CHECK(lag.waiting == 1);
  CHECK(lag.dead == 0);
  CHECK(lag.oldest_age == 3s);
  CHECK(world.relay->status().delivered == 1);
  CHECK(world.relay->status().failed == 1);
  CHECK(world.relay->status().per_second == doctest::Approx(1.0 / 60));
  world.pass(61s);
  CHECK(world.relay->status().per_second == doctest::Approx(0));
}

TEST_CASE("the figures of a store count what its relays did, and what waits for a retry") {
  World world;
  world.publish("good", "a");
  world.publish("down", "b");
  world.publish("never", "c");
  world.receiver.answer([](const Event& event) -> Result<void> {
    if (event.id == "down") return fail(ErrorCode::io, "the receiver is down");
    if (event.id == "never") return std::unexpected(work_failed("gone", "no such topic"));
    return {};
  });
  world.deliver();
  Figures figures = value_of(world.store.figures());
  CHECK(figures.events_delivered == 1);
  CHECK(figures.delivery_failures == 2);
  CHECK(figures.dead_letters == 1);
  CHECK(figures.stats.events_pending == 1);
  CHECK(figures.stats.events_waiting == 1);
  world.pass(1s);
  CHECK(value_of(world.store.stats()).events_waiting == 0);  // it is due
  world.receiver.answer({});
  world.relay = value_of(Relay::create(world.store, world.receiver.publisher(), plain()));
  world.deliver();
  figures = value_of(world.store.figures({.stats = false}));
  CHECK(figures.events_delivered == 2);
  CHECK(figures.delivery_failures == 2);
}

TEST_CASE("delivering for a while ends with the batch in which the time is over") {
  RelayOptions options = plain();
  options.batch = 2;
  World world(options);
  for (int i = 0; i < 10; ++i) world.publish(std::to_string(i), std::to_string(i));
  world.receiver.answer([&](const Event&) -> Result<void> {
    world.pass(100ms);
    return {};
  });
  CHECK(value_of(world.relay->deliver_now(0, 0ms)).delivered == 2);
  CHECK(value_of(world.relay->deliver_now(0, 300ms)).delivered == 4);
  CHECK(value_of(world.relay->deliver_now(0, 1h)).delivered == 4);
}

TEST_CASE("what a publisher throws is a failure like any other") {
  World world;
  world.publish("a1", "a");
  world.publish("b1", "b");
  world.receiver.answer([](const Event& event) -> Result<void> {
    if (event.id == "a1") throw std::runtime_error("boom");
    throw 7;  // NOLINT
  });
  CHECK(world.deliver().failed == 2);
  CHECK(events_of(world.store)["a1"].last_error.find("boom") != std::string::npos);
  world.receiver.answer({});
  world.pass(1s);
  CHECK(world.deliver().delivered == 2);
}

TEST_CASE("a publisher cannot wait for itself") {
  World world;
  world.publish("a1", "a");
  world.receiver.answer([&](const Event&) -> Result<void> {
    CHECK(error_of(world.relay->deliver_now()) == ErrorCode::invalid_argument);
    CHECK(error_of(world.relay->stop()) == ErrorCode::invalid_argument);
    return {};
  });
  CHECK(world.deliver().delivered == 1);
}

TEST_CASE("one relay at a time; another one is told that it is busy") {
  const Simulation simulation;
  Store store = simulation.open();
  const Receiver receiver;
  value_of(store.publish(event("a1", "a")));
  auto first = value_of(Relay::create(store, receiver.publisher(), plain()));
  auto second = value_of(Relay::create(store, receiver.publisher(), plain()));
  receiver.answer([&](const Event&) -> Result<void> {
    CHECK(error_of(second->deliver_now()) == ErrorCode::busy);
    return {};
  });
  CHECK(value_of(first->deliver_now()).delivered == 1);
  CHECK(value_of(second->deliver_now()).delivered == 0);
}

TEST_CASE("a relay whose process has died is taken over from at once; one that may live is not") {
  const TemporaryDirectory directory(quick_place());
  const Simulation first;
  {
    Store store = first.open(directory.file("store"));
    value_of(store.publish(event("a1", "a")));
    // As a relay leaves it that was killed.
    reserved(store.reserve(Key("", "once.relay", "outbox"),
                           {.lease = 1min, .on_abandon = OnAbandon::rerun}));
  }
  const Simulation second = as_process(first, 101);
  Store store = second.open(directory.file("store"));
  const Receiver receiver;
  auto relay = value_of(Relay::create(store, receiver.publisher(), plain()));
  CHECK(error_of(relay->deliver_now()) == ErrorCode::busy);
  second.processes->set(100, Liveness::dead);
  CHECK(value_of(relay->deliver_now()).delivered == 1);
}

TEST_CASE("a zombie's acknowledgement is refused, and nothing of its batch is noted") {
  const Simulation simulation;
  Store store = simulation.open();
  RelayOptions options = plain();
  options.heartbeat = false;
  const Receiver by_first;
  const Receiver by_second;
  auto first = value_of(Relay::create(store, by_first.publisher(), options));
  auto second = value_of(Relay::create(store, by_second.publisher(), options));
  for (const char* id : {"a1", "b1"}) value_of(store.publish(event(id, std::string(1, id[0]))));
  by_second.answer(down);
  by_first.answer([&](const Event& event) -> Result<void> {
    if (event.id != "a1") return {};
    // It sleeps for longer than its lease; another relay takes over and meets a failure.
    simulation.clock->advance(options.lease);
    CHECK(value_of(second->deliver_now()).failed == 2);
    return {};
  });
  CHECK(error_of(first->deliver_now()) == ErrorCode::fenced);
  for (const auto& [id, event] : events_of(store)) {
    CHECK(event.status == EventStatus::pending);
    CHECK(event.retries == 1);
  }
  // Both go on with what the store says.
  by_first.answer({});
  simulation.clock->advance(1s);
  CHECK(value_of(first->deliver_now()).delivered == 2);
}

TEST_CASE("a lease that lapsed while nobody else came is no reason to deliver again") {
  RelayOptions options = plain();
  options.heartbeat = false;
  World world(options);
  world.publish("a1", "a");
  world.receiver.answer([&](const Event&) -> Result<void> {
    world.pass(options.lease * 2);
    return {};
  });
  CHECK(world.deliver().delivered == 1);
}

TEST_CASE("an event that was dropped while it was delivered stays dropped") {
  World world;
  world.publish("a1", "a");
  world.publish("a2", "a");
  world.receiver.answer([&](const Event& event) -> Result<void> {
    if (event.id == "a1") value_of(Outbox(world.store).drop("a1"));
    return {};
  });
  world.deliver();
  CHECK(world.receiver.taken() == Ids{"a1", "a2"});
  CHECK_FALSE(events_of(world.store).contains("a1"));
  CHECK(events_of(world.store)["a2"].status == EventStatus::delivered);
}

TEST_CASE("what is published while delivering is delivered too") {
  World world;
  world.publish("a1", "a");
  world.receiver.answer([&](const Event& event) -> Result<void> {
    if (event.id == "a1") world.publish("a2", "a");
    return {};
  });
  CHECK(world.deliver().delivered == 2);
}

TEST_CASE("delivered events go with a sweep when their time is over, undelivered ones never") {
  RelayOptions options = plain();
  options.retention = 1h;
  options.max_retries = 0;
  World world(options);
  for (const char* id : {"a1", "b1", "c1"}) world.publish(id, std::string(1, id[0]));
  world.receiver.answer([](const Event& event) -> Result<void> {
    if (event.id == "b1") return down(event);
    if (event.id == "c1") return std::unexpected(work_failed("no", ""));
    return {};
  });
  world.deliver();
  world.pass(1h - 1ms);
  CHECK(value_of(world.store.sweep()).events == 0);
  world.pass(24h * 365);
  CHECK(value_of(world.store.sweep()).events == 1);
  CHECK(events_of(world.store).size() == 2);
  CHECK(problems_of(world.store) == 0);
}

TEST_CASE("a copy knows what is to be delivered, and what was") {
  const TemporaryDirectory directory(quick_place());
  RelayOptions options = plain();
  options.max_retries = 1;
  World world(options);
  for (const char* id : {"a1", "a2", "b1", "c1"}) world.publish(id, std::string(1, id[0]));
  world.receiver.answer([](const Event& event) -> Result<void> {
    if (event.id == "b1") return down(event);
    if (event.id == "c1") return std::unexpected(work_failed("no", ""));
    return {};
  });
  world.deliver();
  value_of(world.store.backup(directory.file("copy")));
  Store copy = world.simulation.open(directory.file("copy"));
  CHECK(problems_of(copy) == 0);
  CHECK(events_of(copy) == events_of(world.store));
  const Receiver receiver;
  auto relay = value_of(Relay::create(copy, receiver.publisher(), options));
  world.pass(1s);
  value_of(copy.publish(event("d1", "d")));
  CHECK(value_of(relay->deliver_now()).delivered == 2);
  CHECK(receiver.taken() == Ids{"d1", "b1"});
  CHECK(value_of(Outbox(copy).retry_dead()) == 1);
  CHECK(value_of(relay->deliver_now()).delivered == 1);
}

TEST_CASE("a flush that fails counts for all that it should have made safe") {
  struct Buffering final : Publisher {
    explicit Buffering(bool& broken_flush) : broken(broken_flush) {}
    Result<void> publish(const Event&) override { return {}; }
    Result<void> flush() override {
      if (broken) return fail(ErrorCode::io, "the disk is gone");
      return {};
    }
    bool& broken;
  };
  bool broken = true;
  World world;
  auto relay = value_of(Relay::create(world.store, std::make_unique<Buffering>(broken), plain()));
  for (const char* id : {"a1", "a2", "b1"}) world.publish(id, std::string(1, id[0]));
  CHECK(value_of(relay->deliver_now()).failed == 3);
  for (const auto& [id, event] : events_of(world.store)) {
    CHECK(event.status == EventStatus::pending);
  }
  broken = false;
  world.pass(1s);
  CHECK(value_of(relay->deliver_now()).delivered == 3);
}

TEST_CASE("options out of their range, and a store opened to read, are refused") {
  const TemporaryDirectory directory(quick_place());
  const Simulation simulation;
  Store store = simulation.open(directory.file("store"));
  const auto refused = [&](const std::function<void(RelayOptions&)>& change) {
    RelayOptions options;
    change(options);
    return error_of(Relay::create(store, Receiver().publisher(), options)) ==
           ErrorCode::invalid_argument;
  };
  CHECK(refused([](RelayOptions& o) { o.batch = 0; }));
  CHECK(refused([](RelayOptions& o) { o.poll_interval = 0ms; }));
  CHECK(refused([](RelayOptions& o) { o.lease = 0ms; }));
  CHECK(refused([](RelayOptions& o) { o.retention = -1ms; }));
  CHECK(refused([](RelayOptions& o) { o.backoff.initial = 0ms; }));
  CHECK(refused([](RelayOptions& o) { o.backoff.max = 1ms; }));
  CHECK(refused([](RelayOptions& o) { o.backoff.multiplier = 0.5; }));
  CHECK(refused([](RelayOptions& o) { o.backoff.jitter = 1.5; }));
  CHECK(error_of(Relay::create(store, nullptr)) == ErrorCode::invalid_argument);
  Options options = simulation.options();
  options.read_only = true;
  Store reader = value_of(Store::open(directory.file("store"), options));
  CHECK(error_of(Relay::create(reader, Receiver().publisher())) == ErrorCode::unsupported);
}

TEST_CASE("a relay's thread looks by itself every poll interval, when nothing wakes it") {
  const TemporaryDirectory directory(quick_place());
  const Simulation first;
  {
    Store store = first.open(directory.file("store"));
    value_of(store.publish(event("a1", "a")));
    reserved(store.reserve(Key("", "once.relay", "outbox"),
                           {.lease = 1min, .on_abandon = OnAbandon::rerun}));
  }
  const Simulation second = as_process(first, 101);
  Store store = second.open(directory.file("store"));
  const Receiver receiver;
  RelayOptions options = plain();
  options.poll_interval = 5min;
  auto relay = value_of(Relay::start(store, receiver.publisher(), options));
  while (!relay->status().error) std::this_thread::yield();
  CHECK(relay->status().error->code == ErrorCode::busy);
  CHECK(receiver.calls() == 0);
  // The lease of the other one lapses, which nobody tells. The thread may not have begun to wait,
  // and then waits from the time that it finds.
  for (int looks = 0; receiver.taken().empty() && looks < 100; ++looks) {
    second.clock->advance(options.poll_interval);
    const Duration soon = system_clock()->since_boot() + 100ms;
    while (receiver.taken().empty() && system_clock()->since_boot() < soon)
      std::this_thread::yield();
  }
  CHECK(receiver.taken() == Ids{"a1"});
}

// From here on with the machine's clock and a thread.

TEST_CASE("a relay's thread is woken by a commit, long before it would look by itself") {
  Store store = value_of(Store::open("memory:"));
  const Receiver receiver;
  RelayOptions options = plain();
  options.poll_interval = 24h;
  auto relay = value_of(Relay::start(store, receiver.publisher(), options));
  for (int i = 1; i <= 20; ++i) {
    if (i % 2 == 0) {
      value_of(store.publish(event(std::to_string(i), "a")));
    } else {
      value_of(store.transact(Key(std::to_string(i)), [&](Transaction& tx) -> Result<void> {
        return tx.publish(event(std::to_string(i), "a"));
      }));
    }
    receiver.wait_for(static_cast<std::size_t>(i));
  }
  value_of(relay->stop());
  CHECK(relay->status().delivered == 20);
  CHECK_FALSE(relay->status().active);
  CHECK(value_of(Outbox(store).lag()).pending == 0);
}

TEST_CASE("a relay's thread tries again when the time has come") {
  Store store = value_of(Store::open("memory:"));
  const Receiver receiver;
  RelayOptions options = plain();
  options.poll_interval = 24h;
  options.backoff = {.initial = 1ms, .max = 1ms, .multiplier = 1, .jitter = 0};
  int failures = 2;
  receiver.answer([&](const Event& event) -> Result<void> {
    return failures-- > 0 ? down(event) : Result<void>{};
  });
  auto relay = value_of(Relay::start(store, receiver.publisher(), options));
  value_of(store.publish(event("a1", "a")));
  receiver.wait_for(1);
  CHECK(receiver.calls() == 3);
}

TEST_CASE("stopping waits for the delivery under way, and notes it") {
  Store store = value_of(Store::open("memory:"));
  const Receiver receiver;
  std::atomic<bool> entered = false;
  std::atomic<bool> go_on = false;
  receiver.answer([&](const Event&) -> Result<void> {
    entered = true;
    entered.notify_all();
    go_on.wait(false);
    return {};
  });
  auto relay = value_of(Relay::start(store, receiver.publisher(), plain()));
  for (const char* id : {"a1", "b1"}) value_of(store.publish(event(id, std::string(1, id[0]))));
  entered.wait(false);
  std::thread stopper([&] { (void)relay->stop(); });
  go_on = true;
  go_on.notify_all();
  stopper.join();
  const auto events = events_of(store);
  std::size_t delivered = 0;
  for (const auto& [id, event] : events)
    delivered += event.status == EventStatus::delivered ? 1 : 0;
  CHECK(delivered == receiver.taken().size());
  CHECK(delivered >= 1);
  // And another one may deliver the rest at once.
  receiver.answer({});
  auto next = value_of(Relay::create(store, receiver.publisher(), plain()));
  CHECK(value_of(next->deliver_now()).delivered == 2 - delivered);
}

TEST_CASE("a second relay stands by, and takes over when the first one stops") {
  Store store = value_of(Store::open("memory:"));
  const Receiver by_first;
  const Receiver by_second;
  RelayOptions options = plain();
  options.poll_interval = 24h;
  auto first = value_of(Relay::start(store, by_first.publisher(), options));
  value_of(store.publish(event("a1", "a")));
  by_first.wait_for(1);
  auto second = value_of(Relay::start(store, by_second.publisher(), options));
  value_of(store.publish(event("a2", "a")));
  by_first.wait_for(2);
  CHECK_FALSE(second->status().active);
  value_of(first->stop());
  value_of(store.publish(event("a3", "a")));
  by_second.wait_for(1);
  CHECK(by_second.taken() == Ids{"a3"});
}

TEST_CASE("deciding by hand wakes the relay") {
  Store store = value_of(Store::open("memory:"));
  const Receiver receiver;
  RelayOptions options = plain();
  options.poll_interval = 24h;
  options.max_retries = 0;
  receiver.answer(down);
  auto relay = value_of(Relay::start(store, receiver.publisher(), options));
  value_of(store.publish(event("a1", "a")));
  receiver.wait_for(0, 1);
  while (value_of(Outbox(store).lag()).dead == 0) std::this_thread::yield();
  receiver.answer({});
  value_of(Outbox(store).retry("a1"));
  receiver.wait_for(1);
}

TEST_CASE("closing the store ends a relay's work") {
  Store store = value_of(Store::open("memory:"));
  const Receiver receiver;
  auto relay = value_of(Relay::start(store, receiver.publisher(), plain()));
  value_of(store.publish(event("a1", "a")));
  receiver.wait_for(1);
  value_of(store.close());
  CHECK(error_of(relay->deliver_now()) == ErrorCode::closed);
  value_of(relay->stop());
}
