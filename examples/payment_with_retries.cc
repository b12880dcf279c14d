// Charges a card through a gateway that often fails: tries again while that is safe, charges once,
// and gives everyone who asks again the first receipt.
//
//   payment_with_retries FOLDER ORDER CENTS CURRENCY [ANSWER...]
//
// FOLDER is any folder: the program keeps its store there, and the gateway its ledger. ANSWERs are
// what the gateway does, call by call; when there are no more of them it charges:
//
//   offline    there is no connection: nothing was asked for
//   busy       it refuses before it does anything
//   declined   it says no, for good
//   silent     it charges, and its answer gets lost
//
// Try these, in this order:
//
//   mkdir shop
//   payment_with_retries shop order-1 1250 EUR busy offline   charges at the third attempt
//   payment_with_retries shop order-1 1250 EUR                the same receipt, and no charge
//   payment_with_retries shop order-1 9999 EUR                refused: `cents` differs
//   payment_with_retries shop order-2 500 EUR declined        no, and no again when asked again
//   payment_with_retries shop order-3 700 EUR silent          nobody knows: see call_in_doubt.cc
//   cat shop/ledger.txt                                       each order at most once
#include <once/once.h>

#include <cstdint>
#include <deque>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>

namespace {

using namespace std::chrono_literals;
using once::Bytes;
using once::Result;

struct Order {
  std::string id;
  std::int64_t cents = 0;
  std::string currency;
};

// Stands for somebody at the other end of a network who charges cards.
class Gateway {
 public:
  Gateway(std::string ledger, std::deque<std::string> answers)
      : ledger_(std::move(ledger)), answers_(std::move(answers)) {}

  // What a failure is called decides what Once makes of it, so this is where to think: did it
  // happen, did it not, or does nobody know?
  Result<Bytes> charge(const Order& order, once::Token token) {
    const std::string answer = next_answer();
    if (answer == "offline") {
      return std::unexpected(once::work_not_started("there is no way to the gateway"));
    }
    if (answer == "busy") return std::unexpected(once::work_retryable("the gateway is busy"));
    if (answer == "declined") {
      return std::unexpected(once::work_failed("declined", "the card was declined"));
    }
    std::ofstream ledger(ledger_, std::ios::app);
    ledger << order.id << ' ' << order.cents << ' ' << order.currency << std::endl;
    if (!ledger || answer == "silent") {
      return std::unexpected(once::work_unknown("the gateway's answer got lost"));
    }
    return "receipt " + std::to_string(token.value) + " for " + order.id;
  }

 private:
  std::string next_answer() {
    if (answers_.empty()) return "charged";
    std::string answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }

  const std::string ledger_;
  std::deque<std::string> answers_;
};

int failed(const once::Error& error) {
  std::cerr << to_string(error.code) << ": " << error.message << '\n';
  return 1;
}

int pay(once::Store& store, Gateway& gateway, const Order& order) {
  // The key names the operation. It comes from what the customer did (this order), not from the
  // attempt: everyone who means the same charge must come to the same key.
  const auto key = once::Scope{.tenant = "shop", .operation = "charge"}.key(order.id);
  if (!key) return failed(key.error());

  // The question is what is asked under the key. It is kept as digests, so that the same key with
  // another amount is refused, and the answer to another question is never handed out.
  const auto question = once::question_of(once::fields_of(
      order, once::field("cents", &Order::cents), once::field("currency", &Order::currency)));
  if (!question) return failed(question.error());

  // Tries up to four times within one call, while what fails leaves nothing behind; between two
  // tries the key is free, and if somebody else pays meanwhile theirs is the receipt.
  once::Executor executor(
      store,
      {.failures = {.attempts = 4, .initial_pause = 20ms},
       .observers = {{.on_failure = [](const once::Reservation& mine, const once::Error& error,
                                       once::FailureClass failure) {
         std::cout << "attempt " << mine.attempt << ": " << error.message << " ("
                   << to_string(failure) << ")\n";
       }}}});
  const auto paid = executor.execute(
      *key, [&](const once::Reservation& mine) { return gateway.charge(order, mine.token); },
      {.retention = 30 * 24h,    // how long the receipt is given to whoever asks again
       .failure_retention = 1h,  // the same for "declined"
       .fingerprint = question->fingerprint,
       .fields = question->fields});
  if (!paid) {
    if (paid.error().replayed) std::cerr << "before: ";
    return failed(paid.error());
  }
  const once::Provenance& from = paid->provenance();
  std::cout << (paid->replayed() ? "paid before: " : "paid: ") << paid->value() << ", attempt "
            << from.attempt << ", " << from.execution_id() << '\n';
  return 0;
}

int run(int argc, char** argv) {
  if (argc < 5) {
    std::cerr << "usage: payment_with_retries FOLDER ORDER CENTS CURRENCY [ANSWER...]\n";
    return 64;
  }
  const std::string folder = argv[1];
  // One process at a time has a store open for writing. This one is open for a moment only, so a
  // second process waits for it; a server would keep it open and use many threads.
  auto store = once::Store::open(folder + "/payments.once", {.open_timeout_ms = 60s});
  if (!store) return failed(store.error());
  Gateway gateway(folder + "/ledger.txt", {argv + 5, argv + argc});
  const int code =
      pay(*store, gateway, {.id = argv[2], .cents = std::stoll(argv[3]), .currency = argv[4]});
  if (const auto closed = store->close(); !closed) return failed(closed.error());
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
