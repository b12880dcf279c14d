// Long messages were cut at a byte, which may be in the middle of a character: what was kept was no
// text any more, and was shown as base64.
#include <doctest/doctest.h>

#include "base/utf8.h"
#include "once/coordinator.h"
#include "once/outbox.h"
#include "store/fixture.h"

using namespace once;
using namespace once::testing;

namespace {

// Both an odd and an even place are within a character of one of the two.
std::string long_text(std::string_view begin, int characters = 3000) {
  std::string text(begin);
  for (int i = 0; i < characters; ++i) text += "\xc3\xa9";
  return text;
}

}  // namespace

TEST_CASE("the last error of an event is text") {
  for (const char* begin : {"", "x"}) {
    Store store = Simulation().open();
    value_of(store.publish({.type = "t"}));
    auto relay =
        value_of(Relay::create(store, callback_publisher([&](const Event&) -> Result<void> {
                                 return std::unexpected(work_retryable(long_text(begin)));
                               })));
    value_of(relay->deliver_now());
    int seen = 0;
    value_of(Outbox(store).unsettled([&](const Event& event) {
      CHECK(event.last_error.size() >= 497);
      CHECK(is_utf8(event.last_error));
      return ++seen > 0;
    }));
    CHECK(seen == 1);
  }
}

TEST_CASE("the reason of a failure is text, in the history and in the outcome") {
  for (const char* begin : {"", "x"}) {
    Store store = Simulation().open();
    CHECK_FALSE(store.execute("released", [&]() -> Result<int> {
      return std::unexpected(work_retryable(long_text(begin)));
    }));
    CHECK_FALSE(store.execute("failed", [&]() -> Result<int> {
      return std::unexpected(work_failed(long_text(begin), long_text(begin, 100'000)));
    }));
    value_of(store.history({}, [&](const HistoryEntry& entry) {
      CHECK(is_utf8(entry.note));
      return true;
    }));
    const auto outcome = value_of(store.find("failed"))->outcome;
    REQUIRE(outcome);
    CHECK(is_utf8(outcome->code));
    CHECK(is_utf8(outcome->message));
  }
}

TEST_CASE("what a participant says of its trouble is text") {
  for (const char* begin : {"", "x"}) {
    Store store = Simulation().open();
    Coordinator coordinator(store, {.settle_timeout = 0ms});
    value_of(coordinator.add(
        {.name = "x",
         .prepare = [](const ParticipantCall&) -> Result<Bytes> { return Bytes("yes"); },
         .commit = [&](const ParticipantCall&) -> Result<void> {
           return std::unexpected(work_retryable(long_text(begin)));
         },
         .abort = [](const ParticipantCall&) -> Result<void> { return {}; }}));
    const auto report = value_of(coordinator.run("tx", {{"x", "p"}}));
    CHECK(is_utf8(report.participants.at(0).trouble));
  }
}
