// once-demo-transfer: moves coins from alice to bob, one at a time, and may be killed at any
// moment.
//
//   once-demo-transfer STORE FIRST   transfers FIRST, FIRST + 1, ... until it is killed; tells each
//   once-demo-transfer STORE         prints what alice and bob have
//
// A transfer is two reads and two writes in `transact`: both balances change or none does, and a
// transfer that is asked for again does not move a second coin.
#include <fmt/format.h>
#include <once/once.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

constexpr std::int64_t coins = 1'000'000;
constexpr std::string_view alice = "balance/alice";
constexpr std::string_view bob = "balance/bob";

using Balance = once::Codec<std::int64_t>;

once::Result<std::int64_t> read(once::Transaction& tx, std::string_view account) {
  const auto stored = tx.get(account);
  if (!stored) return std::unexpected(stored.error());
  // Before the first transfer, alice has everything.
  if (!*stored) return account == alice ? coins : 0;
  return Balance::decode(*stored);
}

once::Result<void> write(once::Transaction& tx, std::string_view account, std::int64_t balance) {
  return tx.put(account, *Balance::encode(balance));
}

once::Result<std::string> move_one_coin(once::Transaction& tx) {
  const auto from = read(tx, alice);
  if (!from) return std::unexpected(from.error());
  const auto to = read(tx, bob);
  if (!to) return std::unexpected(to.error());
  if (*from < 1) return std::unexpected(once::work_failed("empty", "alice has nothing left"));
  if (auto done = write(tx, alice, *from - 1); !done) return std::unexpected(done.error());
  if (auto done = write(tx, bob, *to + 1); !done) return std::unexpected(done.error());
  return fmt::format("bob has {}", *to + 1);
}

int failed(const once::Error& error) {
  fmt::print(stderr, "once-demo-transfer: {}\n", error.message);
  return EXIT_FAILURE;
}

int transfer_from(once::Store& store, std::uint64_t first) {
  for (std::uint64_t number = first;; ++number) {
    const once::Key key("", "transfer", std::to_string(number));
    const auto done = store.transact(key, move_one_coin);
    if (!done) return failed(done.error());
    fmt::print("{} {} {}\n", number, done->replayed() ? "replayed" : "done", done->value());
    std::fflush(stdout);
  }
}

int show(once::Store& store) {
  std::int64_t balances[2] = {coins, 0};
  for (int i = 0; i < 2; ++i) {
    const auto stored = store.data(i == 0 ? alice : bob);
    if (!stored) return failed(stored.error());
    if (!*stored) continue;
    const auto balance = Balance::decode(*stored);
    if (!balance) return failed(balance.error());
    balances[i] = *balance;
  }
  fmt::print("alice {} bob {} sum {}\n", balances[0], balances[1], balances[0] + balances[1]);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t first = 0;
  const std::string_view number = argc == 3 ? argv[2] : "1";
  const auto [end, code] = std::from_chars(number.data(), number.data() + number.size(), first);
  if (argc < 2 || argc > 3 || code != std::errc{} || end != number.data() + number.size()) {
    fmt::print(stderr, "usage: once-demo-transfer STORE [FIRST]\n");
    return 64;
  }
  auto store = once::Store::open(argv[1]);
  if (!store) return failed(store.error());
  return argc == 2 ? show(*store) : transfer_from(*store, first);
}
