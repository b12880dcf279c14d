// Many threads on one container: names come and go while files are appended to, moved and checked.
// What is left must open again, with every block accounted for.
#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "container/container.h"
#include "support/check_result.h"
#include "support/simulated_device.h"

using namespace once;
using namespace once::container;
using namespace once::testing;

namespace {

std::unique_ptr<Container> open_on(const std::shared_ptr<SimulatedDevice>& device) {
  return value_of(Container::open(device, std::make_shared<NoPins>(), {}));
}

void check_sound(Container& container) {
  const FsckReport report = value_of(container.fsck({}));
  for (const std::string& problem : report.problems) FAIL_CHECK(problem);
}

}  // namespace

TEST_CASE("logs and tables come and go in some threads while others compact") {
  const auto device = std::make_shared<SimulatedDevice>();
  const std::string bytes(5000, 'x');
  {
    const auto container = open_on(device);
    value_of(container->mark_created());
    std::atomic<bool> stop = false;
    std::atomic<int> failures = 0;
    const auto must = [&](const auto& result) {
      if (!result) ++failures;
    };
    std::vector<std::thread> threads;
    // Logs: a new one while another thread removes old ones.
    std::atomic<int> last_log = 0;
    threads.emplace_back([&] {
      for (int i = 1; i <= 300; ++i) {
        auto log = container->create("/" + std::to_string(i) + ".log");
        must(log);
        if (log) must(container->append(**log, bytes));
        if (log && i % 7 == 0) must(container->sync(**log));
        last_log = i;
      }
      stop = true;
    });
    threads.emplace_back([&] {
      for (int i = 1; !stop;) {
        if (i < last_log) {
          must(container->remove("/" + std::to_string(i++) + ".log"));
        } else {
          std::this_thread::yield();
        }
      }
    });
    // Tables, removed as soon as they are made.
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; !stop; ++i) {
          const std::string name = "/" + std::to_string(t) + "-" + std::to_string(i) + ".sst";
          auto table = container->create(name);
          must(table);
          if (!table) continue;
          must(container->append(**table, bytes));
          must(container->sync(**table));
          must(container->remove(name));
        }
      });
    }
    threads.emplace_back([&] {
      while (!stop) {
        must(container->compact({}));
        must(container->sync_names());
      }
    });
    for (std::thread& thread : threads) thread.join();
    CHECK(failures == 0);
    check_sound(*container);
    value_of(container->close());
  }
  const auto again = open_on(device);
  check_sound(*again);
  const auto log = value_of(again->open_file("/300.log"));
  REQUIRE(log);
  CHECK(again->size(*log) == bytes.size());
}
