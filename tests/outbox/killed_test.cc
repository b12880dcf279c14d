// A process that relays to a file is killed again and again, at every kind of moment: no event is
// lost, none is delivered before an earlier one of its aggregate, and no more come twice than one
// batch a kill, and what was with the publisher.
//
// This process opens no store itself, so that what it forks has no threads to miss.
#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "once/outbox.h"
#include "support/check_result.h"
#include "support/child.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t batch = 7;
constexpr std::size_t most_at_once = 3;  // in every other five rounds
constexpr int aggregates = 4;
constexpr int events_a_round = 25;

// Where in its work the relaying process ends itself.
enum class Moment { before_event, after_event, before_flush, after_flush, none };

// Hands on to a file, and ends the process at the n-th moment of a kind.
class Mortal final : public Publisher {
 public:
  Mortal(std::unique_ptr<Publisher> file, Moment moment, int count, Child& parent)
      : file_(std::move(file)), moment_(moment), count_(count), parent_(parent) {}
  [[nodiscard]] std::size_t at_once() const override { return most_at_once; }
  Result<void> publish(const Event& event) override {
    // Others may be at it; the file takes one at a time.
    std::this_thread::yield();
    const std::lock_guard lock(mutex_);
    pass(Moment::before_event);
    auto done = file_->publish(event);
    parent_.tell();
    pass(Moment::after_event);
    return done;
  }
  Result<void> flush() override {
    const std::lock_guard lock(mutex_);
    pass(Moment::before_flush);
    auto done = file_->flush();
    pass(Moment::after_flush);
    return done;
  }

 private:
  void pass(Moment moment) {
    if (moment == moment_ && --count_ == 0) ::kill(::getpid(), SIGKILL);
  }
  std::mutex mutex_;
  const std::unique_ptr<Publisher> file_;
  const Moment moment_;
  int count_;
  Child& parent_;
};

int publish_some(const std::string& path, int round, std::uint32_t seed) {
  std::mt19937 random(seed);
  auto store = Store::open(path);
  if (!store) return 1;
  for (int i = 0; i < events_a_round; ++i) {
    Event event{.id = std::to_string(round * events_a_round + i),
                .aggregate_type = "a",
                .aggregate_id = std::to_string(random() % aggregates)};
    if (!store->publish(event, Durability::buffered)) return 2;
  }
  return store->close() ? 0 : 3;
}

int relay_to(const std::string& path, const std::string& file, Moment moment, int count,
             std::size_t at_once, Child& parent) {
  auto store = Store::open(path);
  if (!store) return 1;
  auto lines = json_lines_publisher(file, {.sync = false});
  if (!lines) return 2;
  RelayOptions options;
  options.batch = batch;
  options.at_once = at_once;
  auto relay = Relay::create(
      *store, std::make_unique<Mortal>(std::move(*lines), moment, count, parent), options);
  if (!relay) return 3;
  if (!(*relay)->deliver_now()) return 4;
  relay->reset();
  return store->close() ? 0 : 5;
}

int verify(const std::string& path) {
  auto store = Store::open(path);
  if (!store) return 1;
  auto report = store->verify();
  if (!report || report->problem_count != 0) return 2;
  auto lag = Outbox(*store).lag();
  if (!lag) return 3;
  return lag->pending + lag->dead == 0 ? 0 : 4;
}

// Numbers of events by aggregate, as the lines of the file have them.
std::map<std::string, std::vector<int>> delivered(const std::string& file) {
  std::map<std::string, std::vector<int>> found;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    // A line that was torn by a kill; its event comes again.
    if (json.is_discarded()) continue;
    found[json["aggregateid"]].push_back(std::stoi(std::string(json["id"])));
  }
  return found;
}

// Every event at least once, each only after the one before it. Returns how many came twice.
int check_order(const std::map<std::string, std::vector<int>>& found, int events) {
  std::size_t first_times = 0;
  int again = 0;
  for (const auto& [aggregate, numbers] : found) {
    std::vector<int> order;  // by first delivery
    std::size_t at = 0;
    for (const int number : numbers) {
      const auto known = std::ranges::find(order, number);
      if (known == order.end()) {
        CHECK((order.empty() || number > order.back()));
        CHECK(at == order.size());  // nothing of a repetition is left out before what is new
        order.push_back(number);
      } else {
        ++again;
        const auto place = static_cast<std::size_t>(known - order.begin());
        CHECK(place <= at);  // it goes back, or on by one
        at = place;
      }
      ++at;
    }
    first_times += order.size();
  }
  CHECK(first_times == static_cast<std::size_t>(events));
  return again;
}

}  // namespace

TEST_CASE("a relay that is killed at any moment loses nothing and keeps the order") {
  const TemporaryDirectory directory(quick_place());
  const std::string path = directory.file("store");
  const std::string file = directory.file("out.jsonl");
  std::mt19937 random(11);
  const int rounds = 24;
  int kills = 0;
  for (int round = 0; round < rounds; ++round) {
    CAPTURE(round);
    const auto seed = static_cast<std::uint32_t>(random());
    REQUIRE(Child([&](Child&) { return publish_some(path, round, seed); }).end() == 0);
    const auto moment = static_cast<Moment>(round % 5);
    const bool by_event = moment == Moment::before_event || moment == Moment::after_event;
    const int count = 1 + static_cast<int>(random() % (by_event ? 20 : 3));
    const std::size_t at_once = round / 5 % 2 == 0 ? 1 : most_at_once;
    Child child([&](Child& me) { return relay_to(path, file, moment, count, at_once, me); });
    if (moment == Moment::none) {
      // From outside: in the middle of whatever comes after the n-th event, a commit often.
      const std::size_t after = batch * (random() % 3) + batch;
      for (std::size_t i = 0; i < after && child.wait(); ++i) {
      }
      child.kill(SIGKILL);
    }
    const int end = child.end();
    CHECK((end == 0 || end == -SIGKILL));
    kills += end == 0 ? 0 : 1;
  }
  CHECK(kills > rounds / 2);
  REQUIRE(Child([&](Child& me) { return relay_to(path, file, Moment::none, 0, 1, me); }).end() ==
          0);
  const int again = check_order(delivered(file), rounds * events_a_round);
  CHECK(again <= kills * static_cast<int>(batch + most_at_once));
  CHECK(again > 0);
  CHECK(Child([&](Child&) { return verify(path); }).end() == 0);
}
