// An asynchronous call that was cancelled while it waited for a thread answered only when there was
// one.
#include <doctest/doctest.h>

#include <future>
#include <memory>

#include "once/execute.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a queued call that is cancelled answers at once, and lets go of its work") {
  Store store = Simulation().open();
  Executor executor(store, {.threads = 1});
  std::promise<void> go_on;
  std::promise<void> begun;
  auto first = executor.execute_async("first", [&] {
    begun.set_value();
    go_on.get_future().wait();
    return 1;
  });
  begun.get_future().wait();
  std::stop_source stop;
  const auto held = std::make_shared<int>(2);
  auto second =
      executor.execute_async("second", [held] { return *held; }, {.stop = stop.get_token()});
  auto stopped_before = executor.execute_async("second", [held] { return *held; }, {.stop = [] {
                                                 std::stop_source stopped;
                                                 stopped.request_stop();
                                                 return stopped.get_token();
                                               }()});
  CHECK(second.wait_for(20ms) == std::future_status::timeout);
  stop.request_stop();
  const bool at_once = second.wait_for(1s) == std::future_status::ready;
  CHECK(at_once);
  CHECK(stopped_before.wait_for(1s) == std::future_status::ready);
  if (at_once) CHECK(held.use_count() == 1);
  go_on.set_value();
  CHECK(value_of(first.get()).value() == 1);
  CHECK(error_of(second.get()) == ErrorCode::cancelled);
  CHECK(error_of(stopped_before.get()) == ErrorCode::cancelled);
  CHECK(value_of(store.status("second")) == KeyStatus::none);
}
