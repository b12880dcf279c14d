#include <variant>

#include "measure.h"
#include "once/once.h"
#include "rivals/rival.h"

namespace once::bench {
namespace {

class OnceSession final : public Session {
 public:
  explicit OnceSession(Store& store) : store_(store) {}

  void execute(const std::string& key, const std::string& outcome) override {
    const auto done = check(store_.execute(key, [&]() -> Bytes { return outcome; }));
    check(!done.replayed(), "a fresh key was finished");
  }

  std::uint64_t transact(const std::string& key, const std::string& outcome) override {
    std::uint64_t next = 0;
    const auto done = check(store_.transact(key, [&](Transaction& tx) -> Result<Bytes> {
      auto count = tx.get(counter_row);
      if (!count) return std::unexpected(std::move(count.error()));
      next = std::stoull(count->value_or("0")) + 1;
      if (auto put = tx.put(counter_row, std::to_string(next)); !put) {
        return std::unexpected(std::move(put.error()));
      }
      return outcome;
    }));
    check(!done.replayed(), "a fresh key was finished");
    return next;
  }

  std::string replay(const std::string& key) override {
    auto done = check(store_.execute(key, [] { return Bytes("it ran again"); }));
    check(done.replayed(), "a finished key ran again");
    return std::move(done).value();
  }

  bool seen(const std::string& key) override { return check(store_.find(key)).has_value(); }

  Reserved reserve_many(std::span<const std::string> keys) override {
    std::vector<ReserveRequest> asks;
    asks.reserve(keys.size());
    for (const auto& key : keys) asks.push_back({.key = key, .options = {}});
    Reserved reserved;
    for (auto& answer : check(store_.reserve_many(asks))) {
      auto got = check(std::move(answer));
      if (auto* replay = std::get_if<Replay>(&got)) {
        reserved.outcomes.push_back(std::move(replay->outcome.value).value_or(""));
      } else {
        ++reserved.granted;
      }
    }
    return reserved;
  }

  void fill(std::span<const Filled> keys, std::int64_t expires_at_ms) override {
    const auto left = Duration(std::max<std::int64_t>(expires_at_ms - now_ms(), 1));
    std::vector<ReserveRequest> asks;
    asks.reserve(keys.size());
    for (const auto& filled : keys) {
      asks.push_back({.key = filled.key, .options = {.retention = left}});
    }
    const auto answers = check(store_.reserve_many(asks, Durability::buffered));
    std::vector<CompleteRequest> done;
    done.reserve(keys.size());
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const auto answer = check(answers[i]);
      check(std::holds_alternative<Reservation>(answer), "a fresh key was finished");
      done.push_back({.reservation = std::get<Reservation>(answer),
                      .outcome = Outcome::success(keys[i].outcome),
                      .options = {.retention = left}});
    }
    for (const auto& result : check(store_.complete_many(done))) check(result);
  }

  void expire() override { check(store_.sweep()); }

  void publish(const std::string& key, const std::string& outcome,
               const std::string& payload) override {
    const auto done = check(store_.transact(key, [&](Transaction& tx) -> Result<Bytes> {
      Event event{.aggregate_type = "order", .aggregate_id = key, .type = "order.placed"};
      event.payload = payload;
      if (auto put = tx.publish(std::move(event)); !put) return std::unexpected(put.error());
      return outcome;
    }));
    check(!done.replayed(), "a fresh key was finished");
  }

  std::uint64_t deliver(const std::function<void(std::string_view)>& take) override {
    auto relay = check(Relay::create(store_, callback_publisher([&](const Event& event) {
                                       take(event.payload);
                                       return Result<void>();
                                     }),
                                     {.batch = events_in_a_commit}));
    const auto report = check(relay->deliver_now());
    check(report.failed == 0 && report.dead == 0, "an event was not delivered");
    check(relay->stop());
    return report.delivered;
  }

 private:
  Store& store_;
};

class OnceRival final : public Rival {
 public:
  OnceRival(const OpenRival& open, std::size_t replay_cache_bytes)
      : store_(check(Store::open((open.folder / "store").string(),
                                 {.replay_cache_bytes = replay_cache_bytes}))) {}
  std::unique_ptr<Session> session() override { return std::make_unique<OnceSession>(store_); }
  std::uint64_t finished() override { return check(store_.stats()).completed; }
  Store& store() { return store_; }

 private:
  Store store_;
};

}  // namespace

std::unique_ptr<Rival> open_once(const OpenRival& open, std::size_t replay_cache_bytes) {
  return std::make_unique<OnceRival>(open, replay_cache_bytes);
}

Store* store_of(Rival& rival) {
  auto* once = dynamic_cast<OnceRival*>(&rival);
  return once == nullptr ? nullptr : &once->store();
}

}  // namespace once::bench
