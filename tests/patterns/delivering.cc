// Orders that publish events, the relay that delivers them, and who receives them: aggregates 0 and
// 1 the world itself, 2 and 3 the inbox of the other store, 4 the inbox of the same one.
#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "patterns/site.h"

namespace once::testing::patterns {

using namespace std::chrono_literals;

namespace {

enum class Work : std::uint8_t {
  well,
  well_too,
  well_again,
  and_again,
  repeated,
  fails,
  throws,
  buffered
};
enum class Receiver : std::uint8_t {
  well,
  well_too,
  well_again,
  down,
  refuses,
  denies,
  zombie,
  one
};

constexpr Duration lease = 1min;

Key key_of(const std::string& order) {
  return {"", "order", order};
}

}  // namespace

// `which`: the aggregate; of a repeated call, the order. `how`: what becomes of the work (lowest
// three bits), and how many events.
void Site::enqueue(std::uint8_t which, std::uint8_t how) {
  const World before = timeline_.world();
  const auto work = static_cast<Work>(how % 8);
  std::string name = fmt::format("o{}", before.made);
  Order order{.state = Order::State::absent, .durable = work != Work::buffered};
  std::string aggregate = std::to_string(which % 5);
  for (int i = 0; i < 1 + how / 8 % 3; ++i) order.events.push_back(fmt::format("{}.{}", name, i));
  if (work == Work::repeated && before.made > 0) {
    // The numbers of orders and transfers are the same ones.
    const auto at = before.orders.find(fmt::format("o{}", which % before.made));
    const bool again =
        at != before.orders.end() && at->second.durable && at->second.state != Order::State::begun;
    if (again) {
      name = at->first;
      order = at->second;
      aggregate = before.messages.at(order.events.front()).aggregate;
    }
  }
  const bool answered =
      order.state == Order::State::committed || order.state == Order::State::refused;
  if (!answered) {
    change([&](World& world) {
      if (!world.orders.contains(name)) ++world.made;
      world.begin_order(name, order, aggregate);
    });
  }
  Result<Executed<Bytes>> done = std::unexpected(Error{});
  try {
    done = commit_order(name, order, aggregate, how);
  } catch (const std::runtime_error&) {
    heard_ = "threw";
    if (answered) blame(name + " is run again although it was answered");
    change([&](World& world) { world.end_order(name, Order::State::absent); });
    return;
  }
  heard_ = done ? "committed" : std::string(to_string(done.error().code));
  if (!done) hear(name, done.error(), {ErrorCode::work_failed});
  if (answered) return take_answer_again(name, order, done);
  change([&](World& world) {
    if (done) {
      world.end_order(name, Order::State::committed);
      if (order.durable) world.synced();
    } else if (done.error().code == ErrorCode::work_failed) {
      world.end_order(name, Order::State::refused);
    } else if (done.error().code == ErrorCode::no_space) {
      world.end_order(name, Order::State::absent);
    }
    // Otherwise a disk has failed, and it may be there.
  });
}

Result<Executed<Bytes>> Site::commit_order(const std::string& name, const Order& order,
                                           const std::string& aggregate, std::uint8_t how) {
  const auto kind = static_cast<Work>(how % 8);
  return main_->transact(
      key_of(name),
      [&](Transaction& tx) -> Result<Bytes> {
        if (auto put = tx.put("order/" + name, aggregate); !put) return pass(put);
        for (const std::string& id : order.events) {
          auto published = tx.publish(
              {.id = id, .aggregate_type = "t", .aggregate_id = aggregate, .payload = name});
          if (!published) return pass(published);
        }
        if (kind == Work::fails) return std::unexpected(work_failed("no", "never"));
        if (kind == Work::throws) throw std::runtime_error("thrown by the work");
        return name;
      },
      {.retention = 24h * 365,
       .failure_retention = 24h * 365,
       .wait = 0ms,
       .durability = order.durable ? Durability::synced : Durability::buffered});
}

// It was answered before, and must be so again.
void Site::take_answer_again(const std::string& name, const Order& order,
                             const Result<Executed<Bytes>>& done) {
  if (!done && options_.may_fail && is_of_the_disk(done.error().code)) return;
  const bool failed = !done && done.error().code == ErrorCode::work_failed;
  const bool as_before = order.state == Order::State::committed ? done.has_value() : failed;
  const bool replayed = done ? done->replayed() : done.error().replayed;
  if (as_before && replayed) return;
  blame(fmt::format("{} was {}, and is answered {}", name, to_string(order.state), heard_));
}

Result<std::unique_ptr<Relay>> Site::make_relay() {
  return Relay::create(*main_,
                       callback_publisher([this](const Event& event) { return receive(event); }),
                       {.batch = 3,
                        .backoff = {.initial = 1s, .max = 1s, .multiplier = 1, .jitter = 0},
                        .max_retries = 2,
                        .retention = 1h,
                        .lease = lease,
                        .heartbeat = false,
                        .seed = 1});
}

// `which`: the aggregate that makes trouble. `how`: which trouble (lowest three bits), and at which
// event the relay becomes a zombie.
void Site::deliver(std::uint8_t which, std::uint8_t how) {
  mood_ = {.how = how, .at = how / 8U % 4, .aggregate = std::to_string(which % 5)};
  const auto kind = static_cast<Receiver>(how % 8);
  const auto done = relay_->deliver_now(kind == Receiver::one ? 1 : 0);
  const bool stale = mood_.stale;
  if (mood_.relay) (void)main_->release(*mood_.relay);
  const std::vector<std::string> taken = std::exchange(mood_, {}).taken;
  if (stale && (done || done.error().code != ErrorCode::fenced)) {
    const bool disk = !done && options_.may_fail && is_of_the_disk(done.error().code);
    if (!disk) blame("the acknowledgement of a zombie relay is not refused");
  }
  if (!done) {
    heard_ = to_string(done.error().code);
    if (stale) return;
    // Who was to take over may have got no further than that.
    if (kind == Receiver::zombie && options_.may_fail) {
      return hear("delivering", done.error(), {ErrorCode::fenced});
    }
    return hear("delivering", done.error(), {});
  }
  heard_ =
      fmt::format("{} delivered, {} failed, {} dead", done->delivered, done->failed, done->dead);
  change([&](World& world) { world.noted(taken); });
}

// The other side of the publisher.
Result<void> Site::receive(const Event& event) {
  const auto kind = static_cast<Receiver>(mood_.how % 8);
  const bool troubled = event.aggregate_id == mood_.aggregate;
  const bool stale = mood_.stale;
  // What a failing disk has left open is there if it is delivered: after a failed write nobody is
  // given the right to deliver.
  if (options_.may_fail) settle_orders();
  change([&](World& world) { world.handed_over(event.id, stale); });
  if (troubled && kind == Receiver::down) return fail(ErrorCode::io, "down");
  if (troubled && kind == Receiver::refuses) return std::unexpected(work_failed("no", "refused"));
  const int aggregate = std::stoi(event.aggregate_id);
  if (aggregate >= 2) {
    auto taken = receive_once(aggregate == 4 ? *main_ : *other_, event);
    if (!taken) return taken;
  }
  // The answer is lost on its way back: it comes again.
  if (troubled && kind == Receiver::denies) return fail(ErrorCode::io, "no answer");
  change([&](World& world) { world.received(event.id); });
  mood_.taken.push_back(event.id);
  if (kind == Receiver::zombie && !stale && mood_.at-- == 0) {
    // The relay sleeps past its lease, and another one does its work.
    pass_time(2 * lease);
    auto other = make_relay();
    Mood zombies = std::exchange(mood_, {});
    auto done = other ? (*other)->deliver_now() : Result<DeliveryReport>(pass(other));
    std::swap(mood_, zombies);
    if (done) {
      change([&](World& world) { world.noted(zombies.taken); });
      hold_relay();
    } else {
      hear("delivering in place of a zombie", done.error(), {});
    }
    mood_.stale = done.has_value();
  }
  return {};
}

// A third relay is at work while the zombie acknowledges: it is not enough that somebody is.
void Site::hold_relay() {
  const auto held = main_->reserve({"", "once.relay", "outbox"},
                                   {.lease = lease, .on_abandon = OnAbandon::rerun});
  if (!held) return hear("taking the relay over", held.error(), {});
  if (const auto* mine = std::get_if<Reservation>(&*held)) mood_.relay = *mine;
}

// Exactly once: what is done, and that it was, are one commit.
Result<void> Site::receive_once(Store& store, const Event& event) {
  Inbox inbox(store, "receiver", {.retention = 24h * 365, .wait = 0ms});
  const bool processed = timeline_.world().messages[event.id].processed;
  const std::string row = "log/" + event.aggregate_id;
  auto done = inbox.process(event.id, event.payload, [&](Transaction& tx) -> Result<void> {
    auto log = tx.get(row);
    if (!log) return pass(log);
    return tx.put(row, log->value_or("") + event.id + " ");
  });
  if (!done) {
    hear("processing " + event.id, done.error(), {});
    return pass(done);
  }
  change([&](World& world) {
    if (processed && !done->replayed()) world.blame(event.id + " is processed a second time");
    world.messages[event.id].processed = true;
    if (&store == &*main_) world.synced();
  });
  return {};
}

void Site::retry_dead() {
  const auto done = Outbox(*main_).retry_dead();
  if (!done) return hear("retrying dead letters", done.error(), {});
  heard_ = fmt::format("{} dead letters", *done);
}

}  // namespace once::testing::patterns
