// Moves money between two banks, each with a store of its own, by two-phase commit: all of it or
// nothing, whenever the program is killed.
//
//   transfer_two_phase FOLDER transfer ID AMOUNT   from alice (north) to bob (south), once an ID
//   transfer_two_phase FOLDER recover
//   transfer_two_phase FOLDER balances
//
// Whatever a killed program has left is finished by the next one that transfers or recovers, before
// it does anything else.
//
// With ONCE_EXAMPLE_DIE=N in the environment it kills itself at the N-th moment of the transaction,
// for seeing that nothing goes wrong then (transfer_two_phase_test.py does that for each N).
#include <once/once.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>

namespace {

using once::Bytes;
using once::ParticipantCall;
using once::Result;
using once::Transaction;

constexpr std::int64_t opening_balance = 100;

// What is in the row, changed by `amount`. A refusal when it would be less than nothing.
Result<void> add(Transaction& tx, const std::string& row, std::int64_t amount,
                 std::int64_t otherwise) {
  auto before = tx.get(row);
  if (!before) return std::unexpected(before.error());
  const std::int64_t after = (*before ? std::stoll(**before) : otherwise) + amount;
  if (after < 0) return std::unexpected(once::work_failed("poor", row + " has too little"));
  return tx.put(row, std::to_string(after));
}

std::int64_t amount_of(const ParticipantCall& call) {
  return std::stoll(call.payload);
}

// The first error of several steps, if any.
Result<void> all(std::initializer_list<Result<void>> steps) {
  for (const Result<void>& step : steps) {
    if (!step) return step;
  }
  return {};
}

// Alice's bank takes the money from her balance and holds it, until it is gone or hers again.
once::StoreWork debit() {
  return {
      .prepare = [](Transaction& tx, const ParticipantCall& call) -> Result<Bytes> {
        auto held = all({add(tx, "balance", -amount_of(call), opening_balance),
                         add(tx, "held", amount_of(call), 0)});
        if (!held) return std::unexpected(held.error());
        return Bytes();
      },
      .commit = [](Transaction& tx,
                   const ParticipantCall& call) { return add(tx, "held", -amount_of(call), 0); },
      .abort =
          [](Transaction& tx, const ParticipantCall& call) {
            return all({add(tx, "held", -amount_of(call), 0),
                        add(tx, "balance", amount_of(call), opening_balance)});
          }};
}

// Bob's bank has nothing to hold: it says that it will take the money, and does.
once::StoreWork credit() {
  return {.prepare = [](Transaction&, const ParticipantCall&) -> Result<Bytes> { return Bytes(); },
          .commit =
              [](Transaction& tx, const ParticipantCall& call) {
                return add(tx, "balance", amount_of(call), opening_balance);
              },
          .abort = [](Transaction&, const ParticipantCall&) -> Result<void> { return {}; }};
}

struct Places {
  once::Store north;
  once::Store south;
  once::Store own;  // the coordinator's
};

Result<Places> open(const std::string& folder) {
  auto north = once::Store::open(folder + "/north.once");
  if (!north) return std::unexpected(north.error());
  auto south = once::Store::open(folder + "/south.once");
  if (!south) return std::unexpected(south.error());
  auto own = once::Store::open(folder + "/coordinator.once");
  if (!own) return std::unexpected(own.error());
  return Places{.north = std::move(*north), .south = std::move(*south), .own = std::move(*own)};
}

int failed(const once::Error& error) {
  std::cerr << to_string(error.code) << ": " << error.message << '\n';
  return 1;
}

int show(const once::TransactionReport& report) {
  std::cout << report.key.to_string() << ' ' << to_string(report.state);
  if (!report.reason.empty()) std::cout << " (" << report.reason << ')';
  std::cout << (report.replayed ? " before\n" : "\n");
  return report.finished() ? 0 : 1;
}

once::CoordinatorOptions options() {
  once::CoordinatorOptions options;
  options.recovered = [](const once::Key&, const Result<once::TransactionReport>& report) {
    report ? show(*report) : failed(report.error());
  };
  const char* die = std::getenv("ONCE_EXAMPLE_DIE");
  if (die == nullptr) return options;
  options.observer = [left = std::stoi(die)](const once::CoordinatorMoment&) mutable {
    if (left-- == 0) std::raise(SIGKILL);
  };
  return options;
}

Result<std::int64_t> number(once::Store& store, const std::string& row, std::int64_t otherwise) {
  auto value = store.data(row);
  if (!value) return std::unexpected(value.error());
  return *value ? std::stoll(**value) : otherwise;
}

int balances(Places& places) {
  const auto alice = number(places.north, "balance", opening_balance);
  const auto held = number(places.north, "held", 0);
  const auto bob = number(places.south, "balance", opening_balance);
  for (const auto* amount : {&alice, &held, &bob}) {
    if (!*amount) return failed(amount->error());
  }
  std::cout << "alice " << *alice << " held " << *held << " bob " << *bob << '\n';
  return 0;
}

int run(const std::string& folder, const std::string& what, int argc, char** argv) {
  auto places = open(folder);
  if (!places) return failed(places.error());
  if (what == "balances" && argc == 3) return balances(*places);
  // Recovers what was left before it returns.
  auto coordinator =
      once::Coordinator::open(places->own,
                              {once::store_participant("debit", places->north, debit()),
                               once::store_participant("credit", places->south, credit())},
                              options());
  if (!coordinator) return failed(coordinator.error());
  if (what == "transfer" && argc == 5) {
    const Bytes amount = argv[4];
    auto moved = coordinator->run(once::Key("", "transfer", argv[3]),
                                  {{"debit", amount}, {"credit", amount}});
    return moved ? show(*moved) : failed(moved.error());
  }
  if (what == "recover" && argc == 3) {
    auto left = coordinator->recover_all();
    if (!left) return failed(left.error());
    return left->failed.empty() && left->pending.empty() ? 0 : 1;
  }
  std::cerr << "usage: transfer_two_phase FOLDER transfer ID AMOUNT | recover | balances\n";
  return 64;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? argv[1] : ".", argc > 2 ? argv[2] : "", argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
