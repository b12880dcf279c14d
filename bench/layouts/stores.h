// What --layouts runs on each layout, every answer checked while it is timed.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "measure.h"
#include "once/once.h"

namespace once::bench {

class Stores {
 public:
  using Length = std::chrono::nanoseconds;

  // Makes three stores in `folder`, each with `finished` completed keys: one to work on, one to
  // open, one to read.
  Stores(const std::filesystem::path& folder, std::uint64_t finished, Layout layout);

  // An execution around an outside effect: two syncs each.
  Sample reserve_complete(int threads, Length length);
  // The same, left to the operating system to write.
  Sample buffered(Length length);
  // A read, a write and the outcome: one sync each.
  Sample transact(Length length);
  // execute() of keys that are finished.
  Sample replay(Length length);
  // The same in a store that is only read, with all of it in tables.
  Sample read(Length length);
  // find() of keys that were never seen.
  Sample absent(Length length);
  // Opening a store that has keys, and finding one of them.
  Sample open(Length length);

  // How many bytes a synced commit of reserve_complete() appends to the write-ahead log.
  std::size_t commit_bytes();
  // Whether the store agrees with everything that was acknowledged. Throws if it does not.
  void check_all();

 private:
  void fill(Store& store) const;
  Sample replay_from(Store& store, Length length);
  static void execute_one(Store& store, std::uint64_t number, Durability durability);

  std::filesystem::path folder_;
  std::uint64_t finished_;
  Store store_;
  Store read_;
  std::atomic<std::uint64_t> executed_ = 0;
  std::atomic<std::uint64_t> turn_ = 0;
  std::uint64_t transacted_ = 0;
};

}  // namespace once::bench
