// A process that has a store open for writing and does what its stdin says, one command a line,
// each answered by a line on stdout: for tests of what others see meanwhile.
//
//   writer STORE
//   write N    does N more keys, each in one transaction: outcome, event, history and a row of data
//   start      does a key every other millisecond, on a thread of its own; stop ends that
//   remove N   removes the first N that are left
//   sweep      answers the bytes before and after
//   compact    the same, and the bytes that readers hold
//   count      answers how many keys were done and acknowledged
//   lock N     acquires the lock "lock-N" without waiting, and answers its token
//   unlock     gives it back
//   reserve N  reserves key N, and complete ends that
//   close      closes the store, and open opens it again
//
// Key i is "key-I", I being i with leading zeros; its outcome and its row of data are "value-I".
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "once/lock.h"
#include "once/store.h"

namespace {

using namespace once;

std::string numbered(const char* prefix, int number) {
  return fmt::format("{}-{:07}", prefix, number);
}

class Writer {
 public:
  Writer(std::string where, Options options, Store store)
      : where_(std::move(where)), options_(std::move(options)), store_(std::move(store)) {}
  ~Writer() { stop(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  std::string answer(const std::string& command, int number) {
    if (command == "write") {
      for (int i = 0; i < number; ++i) {
        if (!write()) return failed_;
      }
    } else if (command == "start") {
      stopping_ = false;
      thread_ = std::thread([this] {
        // At a pace that leaves the store small enough to be read from end to end.
        while (!stopping_ && write()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      });
    } else if (command == "stop") {
      stop();
    } else if (command == "remove") {
      for (int i = 0; i < number; ++i) {
        auto removed = store_.remove(numbered("key", removed_++));
        if (!removed) return removed.error().message;
      }
    } else if (command == "sweep") {
      auto swept = store_.sweep();
      if (!swept) return swept.error().message;
      return fmt::format("{} {}", swept->bytes_before, swept->bytes_after);
    } else if (command == "compact") {
      auto compacted = store_.compact();
      if (!compacted) return compacted.error().message;
      return fmt::format("{} {} {}", compacted->swept.bytes_before, compacted->swept.bytes_after,
                         compacted->bytes_held);
    } else if (command == "lock") {
      auto lock = Lock::try_acquire(store_, fmt::format("lock-{}", number));
      if (!lock) return lock.error().message;
      lock_ = std::move(*lock);
      return std::to_string(lock_->token().value);
    } else if (command == "unlock") {
      auto unlocked = lock_->unlock();
      return unlocked ? "unlocked" : unlocked.error().message;
    } else if (command == "reserve") {
      auto reserved = store_.reserve(numbered("key", number));
      if (!reserved) return reserved.error().message;
      reservation_ = std::get<Reservation>(*reserved);
    } else if (command == "complete") {
      auto done = store_.complete(reservation_, Outcome::success(numbered("value", number)));
      if (!done) return done.error().message;
    } else if (command == "close") {
      auto closed = store_.close();
      if (!closed) return closed.error().message;
    } else if (command == "open") {
      auto opened = Store::open(where_, options_);
      if (!opened) return opened.error().message;
      store_ = std::move(*opened);
    } else if (command != "count") {
      return "there is no command " + command;
    }
    return failed_.empty() ? std::to_string(done_.load()) : failed_;
  }

 private:
  bool write() {
    const int number = done_;
    auto done =
        store_.transact(numbered("key", number),
                        [&](Transaction& tx) -> Result<Bytes> {
                          const std::string value = numbered("value", number);
                          if (auto put = tx.put(numbered("row", number), value); !put) {
                            return std::unexpected(put.error());
                          }
                          if (auto put = tx.publish({.type = numbered("event", number)}); !put) {
                            return std::unexpected(put.error());
                          }
                          return value;
                        },
                        {.durability = Durability::buffered});
    if (!done) {
      failed_ = done.error().message;
      return false;
    }
    ++done_;
    return true;
  }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

  const std::string where_;
  const Options options_;
  Store store_;
  Reservation reservation_;
  std::optional<Lock> lock_;
  std::atomic<int> done_ = 0;
  std::atomic<bool> stopping_ = false;
  int removed_ = 0;
  std::string failed_;
  std::thread thread_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  Options options;
  options.memory_budget = std::size_t{1} << 20;  // many tables
  auto store = Store::open(argv[1], options);
  if (!store) {
    std::cerr << store.error().message << "\n";
    return 1;
  }
  Writer writer(argv[1], options, std::move(*store));
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    int number = 0;
    words >> command >> number;
    std::cout << writer.answer(command, number) << std::endl;
  }
  return 0;
}
