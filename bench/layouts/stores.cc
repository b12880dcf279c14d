#include "layouts/stores.h"

#include <algorithm>
#include <variant>
#include <vector>

namespace once::bench {

namespace {

constexpr std::uint64_t batch = 500;

// 40 bytes, as a receipt may be.
std::string receipt(std::uint64_t number) {
  std::string text = "receipt " + std::to_string(number);
  text.resize(40, '.');
  return text;
}
std::string finished_key(std::uint64_t number) {
  return "finished-" + std::to_string(number);
}

// Visits keys in an order that no cache likes (D. E. Knuth, multiplicative hashing).
std::uint64_t scattered(std::uint64_t turn, std::uint64_t of) {
  return (turn * 0x9e3779b97f4a7c15ULL >> 20) % of;
}

}  // namespace

Stores::Stores(const std::filesystem::path& folder, std::uint64_t finished, Layout layout)
    : folder_(folder),
      finished_(finished),
      store_(check(Store::open((folder / "store").string(), {.layout = layout}))),
      read_(check(Store::open((folder / "read").string(), {.layout = layout}))) {
  fill(store_);
  fill(read_);
  check(read_.sweep());
  auto other = check(Store::open((folder / "opened").string(), {.layout = layout}));
  fill(other);
  check(other.close());
}

void Stores::fill(Store& store) const {
  for (std::uint64_t start = 0; start < finished_; start += batch) {
    const std::uint64_t end = std::min(finished_, start + batch);
    std::vector<ReserveRequest> asks;
    for (auto i = start; i < end; ++i) asks.push_back({.key = finished_key(i), .options = {}});
    const auto answers = check(store.reserve_many(asks));
    std::vector<CompleteRequest> done;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const auto answer = check(answers[i]);
      check(std::holds_alternative<Reservation>(answer), "a fresh key was finished");
      done.push_back({.reservation = std::get<Reservation>(answer),
                      .outcome = Outcome::success(receipt(start + i)),
                      .options = {}});
    }
    for (const auto& result : check(store.complete_many(done))) check(result);
  }
}

void Stores::execute_one(Store& store, std::uint64_t number, Durability durability) {
  const auto answer =
      check(store.reserve("charge-" + std::to_string(number), {.durability = durability}));
  const auto* mine = std::get_if<Reservation>(&answer);
  check(mine != nullptr, "a fresh key was finished");
  check(store.complete(*mine, Outcome::success(receipt(number)), {.durability = durability}));
}

Sample Stores::reserve_complete(int threads, Length length) {
  return measure(threads, length,
                 [&] { execute_one(store_, executed_.fetch_add(1), Durability::synced); });
}

Sample Stores::buffered(Length length) {
  return measure(1, length,
                 [&] { execute_one(store_, executed_.fetch_add(1), Durability::buffered); });
}

Sample Stores::transact(Length length) {
  return measure(1, length, [&] {
    const auto expected = std::to_string(transacted_ + 1);
    const auto done = check(store_.transact("tx-" + expected, [](Transaction& tx) -> Result<Bytes> {
      auto count = tx.get("count");
      if (!count) return std::unexpected(std::move(count.error()));
      const auto next = std::to_string(std::stoull(count->value_or("0")) + 1);
      if (auto put = tx.put("count", next); !put) return std::unexpected(std::move(put.error()));
      return next;
    }));
    check(!done.replayed() && done.value() == expected, "the count after a transaction");
    ++transacted_;
  });
}

Sample Stores::replay(Length length) {
  return replay_from(store_, length);
}

Sample Stores::read(Length length) {
  return replay_from(read_, length);
}

Sample Stores::replay_from(Store& store, Length length) {
  return measure(1, length, [&] {
    const auto number = scattered(turn_.fetch_add(1), finished_);
    const auto done = check(store.execute(finished_key(number), [] { return Bytes("again"); }));
    check(done.replayed() && done.value() == receipt(number), "a replay");
  });
}

Sample Stores::absent(Length length) {
  return measure(1, length, [&] {
    const auto number = turn_.fetch_add(1);
    check(!check(store_.find("absent-" + std::to_string(number))), "a key nobody used was found");
  });
}

Sample Stores::open(Length length) {
  return measure(1, length, [&] {
    auto store = check(Store::open((folder_ / "opened").string()));
    const auto number = scattered(turn_.fetch_add(1), finished_);
    const auto found = check(store.find(finished_key(number)));
    check(found && found->outcome && found->outcome->value == receipt(number), "after opening");
    check(store.close());
  });
}

std::size_t Stores::commit_bytes() {
  // In a directory, where the log can be looked at.
  const auto path = folder_ / "sized";
  auto store = check(Store::open(path.string(), {.layout = Layout::directory}));
  const auto log_bytes = [&] {
    std::uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.path().extension() == ".log") bytes += entry.file_size();
    }
    return bytes;
  };
  constexpr std::uint64_t pairs = 100;
  const auto before = log_bytes();
  for (std::uint64_t i = 0; i < pairs; ++i) execute_one(store, i, Durability::synced);
  const auto after = log_bytes();
  check(after > before, "commits leave nothing in the log");
  return static_cast<std::size_t>((after - before) / (2 * pairs));
}

void Stores::check_all() {
  const auto stats = check(store_.stats());
  check(stats.completed == finished_ + executed_ + transacted_,
        std::to_string(stats.completed) + " keys completed, acknowledged were " +
            std::to_string(finished_ + executed_ + transacted_));
  check(stats.in_progress == 0, "keys left in progress");
  for (std::uint64_t i = 0; i < executed_; ++i) {
    const auto found = check(store_.find("charge-" + std::to_string(i)));
    check(found && found->outcome && found->outcome->value == receipt(i), "an outcome was lost");
  }
}

}  // namespace once::bench
