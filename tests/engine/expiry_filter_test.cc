#include "engine/embedded/expiry_filter.h"

#include <doctest/doctest.h>

#include "base/manual_clock.h"
#include "model/event_codec.h"
#include "model/record_codec.h"

using namespace once;
using namespace once::engine;
using namespace std::chrono_literals;
using rocksdb::CompactionFilter;

namespace {

Bytes record(Status status, Time expires_at) {
  return model::encode_record({.status = status, .expires_at = expires_at});
}

bool removes(const ExpiryFilterFactory& made, ByteView value,
             CompactionFilter::ValueType type = CompactionFilter::ValueType::kValue) {
  auto& factory = const_cast<ExpiryFilterFactory&>(made);
  const auto filter = factory.CreateCompactionFilter({});
  if (!filter) return false;
  return filter->FilterV2(0, "key", type, rocksdb::Slice(value), nullptr, nullptr) ==
         CompactionFilter::Decision::kRemove;
}

struct Fixture {
  std::shared_ptr<ManualClock> machine = std::make_shared<ManualClock>();
  std::shared_ptr<StoreClock> clock = std::make_shared<StoreClock>(machine, std::nullopt);
  ExpiryFilterFactory factory;
  Time start = clock->now();
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "nothing is removed before the clock is known") {
  CHECK(factory.CreateCompactionFilter({}) == nullptr);
}

TEST_CASE_FIXTURE(Fixture, "what is past retention goes only when the mark is past it too") {
  factory.set_clock(clock);
  const Bytes row = record(Status::completed, start + 1s);
  machine->advance(1h);
  CHECK_FALSE(removes(factory, row));
  clock->set_durable(start + 999ms);
  CHECK_FALSE(removes(factory, row));
  clock->set_durable(start + 1s);
  CHECK(removes(factory, row));
  CHECK(factory.removed() == 1);
}

TEST_CASE_FIXTURE(Fixture, "only what says that it may be removed is") {
  factory.set_clock(clock);
  clock->set_durable(start + 24h);
  CHECK(removes(factory, record(Status::failed, start)));
  CHECK(removes(factory, record(Status::released, start)));
  CHECK_FALSE(removes(factory, record(Status::in_progress, start)));
  CHECK_FALSE(removes(factory, record(Status::in_doubt, start)));
  Event event{.sequence = 1, .status = EventStatus::pending, .expires_at = start};
  CHECK_FALSE(removes(factory, model::encode_event(event)));
  event.status = EventStatus::dead;
  CHECK_FALSE(removes(factory, model::encode_event(event)));
  event.status = EventStatus::delivered;
  CHECK(removes(factory, model::encode_event(event)));
}

TEST_CASE_FIXTURE(Fixture, "a row too short to tell, or of another kind, stays") {
  factory.set_clock(clock);
  clock->set_durable(start + 24h);
  CHECK_FALSE(removes(factory, ""));
  CHECK_FALSE(removes(factory, "short"));
  CHECK_FALSE(removes(factory, record(Status::completed, start),
                      CompactionFilter::ValueType::kMergeOperand));
}
