// Options::memory_budget bounds what a store takes: write buffers and cache together, however much
// is written and read. Each store has a process of its own, so that nothing is left over from
// others.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "once/store.h"
#include "support/child.h"
#include "support/temporary_directory.h"

using namespace once;
using namespace once::testing;

namespace {

constexpr int keys = 64'000;  // of 2 KiB each: 125 MiB, more than any budget here
constexpr int batch = 250;
constexpr int failed = 255;

// Memory that this process has in use, in MiB.
int resident_mib() {
  std::ifstream file("/proc/self/statm");
  long pages = 0;
  long resident = 0;
  file >> pages >> resident;
  return static_cast<int>(resident * ::sysconf(_SC_PAGESIZE) >> 20);
}

std::string name_of(int i) {
  return "key " + std::to_string(i);
}

bool fill(Store& store, int first, std::mt19937_64& random) {
  std::vector<ReserveRequest> requests;
  for (int i = first; i < first + batch; ++i) requests.push_back({.key = name_of(i)});
  auto answers = store.reserve_many(requests, Durability::buffered);
  if (!answers) return false;
  std::vector<CompleteRequest> done;
  for (auto& answer : *answers) {
    std::string value(2048, '\0');
    for (char& byte : value) byte = static_cast<char>(random());
    done.push_back({.reservation = std::get<Reservation>(*answer),
                    .outcome = Outcome::success(std::move(value)),
                    .options = {}});
  }
  return store.complete_many(done, Durability::buffered).has_value();
}

// Fills a store, reads all of it twice, and gives by how many MiB the process grew at most.
int growth_mib(const std::string& path, std::size_t budget) {
  const int before = resident_mib();
  int most = before;
  auto store = Store::open(path, {.memory_budget = budget});
  if (!store) return failed;
  std::mt19937_64 random(20261125);
  for (int i = 0; i < keys; i += batch) {
    if (!fill(*store, i, random)) return failed;
    most = std::max(most, resident_mib());
  }
  for (int i = 0; i < 2 * keys; ++i) {
    const auto found = store->find(name_of(i % keys));
    if (!found || !*found || !(*found)->outcome) return failed;
    if (i % batch == 0) most = std::max(most, resident_mib());
  }
  if (!store->close()) return failed;
  return std::min(most - before, failed - 1);
}

// In a process of its own, which has no other store in it.
int grown_by(std::size_t budget_mib) {
  const TemporaryDirectory directory(quick_place());
  const std::string path = directory.file("store");
  Child child([&](Child&) { return growth_mib(path, budget_mib << 20); });
  const int grown = child.end();
  REQUIRE(grown >= 0);
  REQUIRE(grown != failed);
  MESSAGE("with a budget of ", budget_mib, " MiB the process grew by ", grown, " MiB");
  return grown;
}

}  // namespace

TEST_CASE(
    "a store takes no more memory than its budget and a little, however much goes through it") {
  // Filters and indexes, threads, what RocksDB has at hand while it compacts, and what malloc
  // keeps: 32 MiB, and half as much again for slow machines, where more waits to be written.
  constexpr int besides = 48;
  const int small = grown_by(4);
  const int medium = grown_by(16);
  CHECK(small <= 4 + besides);
  CHECK(medium <= 16 + besides);
  // The budget is what bounds it: a larger one is used.
  const int large = grown_by(160);
  CHECK(large > 16 + besides);
  CHECK(large <= 160 + besides);
}
