// Random lives of an outbox under a simulated clock: publishing, delivering to a receiver with
// moods, deciding by hand, sweeping, copying, closing and opening, and zombies in between. A model
// says what a relay may have done.
#include <doctest/doctest.h>

#include <map>
#include <random>

#include "relay_world.h"

using namespace once;
using namespace once::testing;

namespace {

enum class Mood { well, down, refuses };

struct Known {
  std::string aggregate;
  int number = 0;  // in the order of commits
  int taken = 0;   // how often the receiver said yes
  bool dropped = false;
  bool ever_dead = false;
  int zombies = 0;  // that may have delivered it without saying so
};

class Life {
 public:
  explicit Life(std::uint32_t seed) : random_(seed) {
    options_.backoff = {.initial = 1s, .max = 8s, .multiplier = 2, .jitter = 0.5};
    options_.max_retries = below(4);
    options_.batch = 1 + below(6);
    options_.retention = 1min;
    options_.heartbeat = false;
    options_.seed = seed + 1;
    if (below(2) == 0) options_.after_dead_letter = AfterDeadLetter::skip;
    open();
  }

  void step() {
    const std::uint32_t what = below(100);
    if (what < 40) return publish();
    if (what < 70) return deliver();
    if (what < 80) return simulation_.clock->advance(Duration(below(4000)));
    if (what < 88) {
      moods_[aggregate()] = static_cast<Mood>(below(3));
      return;
    }
    if (what < 91) return retry();
    if (what < 93) return drop();
    if (what < 95) return (void)value_of(store_->sweep());
    if (what < 97) return copy();
    open();
  }

  // Everything is well again: what is left must come.
  void finish() {
    moods_.clear();
    (void)value_of(Outbox(*store_).retry_dead());
    for (int i = 0; i < 100 && value_of(Outbox(*store_).lag()).pending != 0; ++i) {
      deliver();
      simulation_.clock->advance(8s);
    }
    const OutboxLag lag = value_of(Outbox(*store_).lag());
    CHECK(lag.pending + lag.dead == 0);
    for (const auto& [id, known] : known_) {
      CAPTURE(id);
      // Nothing was killed, and so nothing came twice; but for what a zombie had delivered.
      CHECK(known.taken <= 1 + known.zombies);
      CHECK((known.dropped || known.taken >= 1));
    }
    CHECK(problems_of(*store_) == 0);
  }

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  std::string aggregate() { return std::to_string(below(5)); }

  void open() {
    relay_.reset();
    store_.reset();
    store_.emplace(simulation_.open(path_));
    relay_ = make_relay();
  }
  std::unique_ptr<Relay> make_relay() {
    return value_of(Relay::create(
        *store_, callback_publisher([this](const Event& event) { return take(event); }), options_));
  }

  void publish() {
    const std::string id = "e" + std::to_string(known_.size());
    const std::string aggregate_id = aggregate();
    known_[id] = {.aggregate = aggregate_id, .number = static_cast<int>(known_.size())};
    if (below(2) == 0) {
      value_of(store_->publish(event(id, aggregate_id), Durability::buffered));
    } else {
      value_of(store_->transact(Key(id), [&](Transaction& tx) -> Result<void> {
        return tx.publish(event(id, aggregate_id));
      }));
    }
  }

  // The receiver.
  Result<void> take(const Event& event) {
    Known& known = known_.at(event.id);
    CHECK_FALSE(known.dropped);
    for (const auto& [id, other] : known_) {
      if (other.aggregate != known.aggregate || other.number >= known.number) continue;
      const bool passed = other.taken > 0 || other.dropped ||
                          (options_.after_dead_letter == AfterDeadLetter::skip && other.ever_dead);
      CHECK_MESSAGE(passed, event.id << " came before " << id);
    }
    if (!in_zombie_ && below(150) == 0) be_a_zombie();
    switch (moods_[known.aggregate]) {
      case Mood::down:
        if (event.retries >= options_.max_retries) known.ever_dead = true;
        return fail(ErrorCode::io, "down");
      case Mood::refuses:
        known.ever_dead = true;
        return std::unexpected(work_failed("no", "never"));
      case Mood::well:
        break;
    }
    ++known.taken;
    return {};
  }

  // The relay sleeps past its lease while it delivers; another one does its work meanwhile.
  void be_a_zombie() {
    in_zombie_ = true;
    simulation_.clock->advance(options_.lease);
    // What has been taken in this batch may come again; who it was is not known here.
    for (auto& [id, known] : known_) ++known.zombies;
    auto other = make_relay();
    (void)value_of(other->deliver_now());
    in_zombie_ = false;
    fenced_ = true;
  }

  void deliver() {
    fenced_ = false;
    const auto done = relay_->deliver_now();
    if (fenced_) {
      CHECK(error_of(done) == ErrorCode::fenced);
      return;
    }
    (void)value_of(done);
    const OutboxLag lag = value_of(Outbox(*store_).lag());
    CHECK(relay_->status().pending == lag.pending);
    CHECK(relay_->status().dead == lag.dead);
  }

  std::vector<std::string> unsettled(EventStatus status) {
    std::vector<std::string> ids;
    value_of(Outbox(*store_).unsettled([&](const Event& event) {
      if (event.status == status) ids.push_back(event.id);
      return true;
    }));
    return ids;
  }

  void retry() {
    const auto dead = unsettled(EventStatus::dead);
    if (dead.empty()) {
      CHECK(value_of(Outbox(*store_).retry_dead()) == 0);
    } else {
      value_of(Outbox(*store_).retry(dead[below(static_cast<std::uint32_t>(dead.size()))]));
    }
  }

  void drop() {
    const auto ids = unsettled(below(2) == 0 ? EventStatus::dead : EventStatus::pending);
    if (ids.empty()) return;
    const std::string& id = ids[below(static_cast<std::uint32_t>(ids.size()))];
    value_of(Outbox(*store_).drop(id));
    known_.at(id).dropped = true;
  }

  // Goes on with a copy of itself.
  void copy() {
    const std::string to = directory_.file("copy" + std::to_string(copies_++));
    value_of(store_->backup(to));
    path_ = to;
    open();
  }

  std::mt19937 random_;
  const Simulation simulation_;
  const TemporaryDirectory directory_{quick_place()};
  std::string path_ = directory_.file("store");
  int copies_ = 0;
  RelayOptions options_;
  std::map<std::string, Known> known_;
  std::map<std::string, Mood> moods_;
  bool in_zombie_ = false;
  bool fenced_ = false;
  std::optional<Store> store_;
  std::unique_ptr<Relay> relay_;
};

}  // namespace

TEST_CASE("random lives of an outbox") {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Life life(seed);
    for (int i = 0; i < 400; ++i) life.step();
    life.finish();
  }
}
