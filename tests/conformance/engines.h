// The engines that the conformance suite runs on, and the little that its tests share.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/manual_clock.h"
#include "engine/caching/caching_engine.h"
#include "engine/embedded/embedded_engine.h"
#include "engine/engine.h"
#include "support/check_result.h"
#include "support/temporary_directory.h"

namespace once::testing {

using namespace once::engine;
using namespace std::chrono_literals;

// The engines: each gives open(), which opens the same rows again where `lasting`.
template <Layout layout>
struct OnDisk {
  static constexpr bool lasting = true;
  std::unique_ptr<Engine> open(Options options) const {
    options.layout = layout;
    return value_of(EmbeddedEngine::open(directory.file("store"), {.options = options}));
  }
  TemporaryDirectory directory{quick_place()};
};
struct InFile : OnDisk<Layout::file> {};
struct InDirectory : OnDisk<Layout::directory> {};
struct InMemory {
  static constexpr bool lasting = false;
  static std::unique_ptr<Engine> open(const Options& options) {
    return value_of(EmbeddedEngine::open_memory(options));
  }
};

// With a cache in front, small enough that entries come and go.
struct Cached {
  static constexpr bool lasting = false;
  static std::unique_ptr<Engine> open(const Options& options) {
    return std::make_unique<CachingEngine>(InMemory::open(options), std::size_t{64} << 10);
  }
};

template <class Place>
struct Opened {
  Opened() { options.clock = clock; }
  void reopen() {
    value_of(engine->close());
    engine.reset();
    engine = place.open(options);
  }
  std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  Options options;
  Place place;
  std::unique_ptr<Engine> engine = place.open(with_clock());

 private:
  Options with_clock() {
    options.clock = clock;
    options.open_timeout_ms = 0ms;
    return options;
  }
};

inline HistoryEntry entry_of(const Key& key, What what, const Current& current, Token token,
                             Status status) {
  return {.previous = current.record ? current.record->last_history : 0,
          .time = current.now,
          .key = key,
          .what = what,
          .status = status,
          .token = token,
          .attempt = 1,
          .holder = {}};
}

// A transition that completes the key, whatever was there.
inline Transition completing(const Key& key, const std::string& value, Duration retention = 1h) {
  return [=](const Current& current) {
    const Outcome outcome = Outcome::success(value);
    Change change;
    change.put = Record{.status = Status::completed,
                        .token = current.fresh,
                        .origin = current.fresh,
                        .expires_at = current.now + retention,
                        .outcome = outcome.digest()};
    change.outcome = outcome;
    change.history = entry_of(key, What::completed, current, current.fresh, Status::completed);
    return change;
  };
}

inline Transition reserving(const Key& key) {
  return [=](const Current& current) {
    Change change;
    change.put =
        Record{.status = Status::in_progress, .token = current.fresh, .origin = current.fresh};
    change.history = entry_of(key, What::reserved, current, current.fresh, Status::in_progress);
    return change;
  };
}

inline Transition removing(const Key& key) {
  return [=](const Current& current) {
    Change change;
    change.remove = true;
    change.history = entry_of(key, What::removed, current, current.fresh, Status::completed);
    return change;
  };
}

inline Change nothing(const Current&) {
  return {};
}

inline std::vector<Row> rows_of(Engine& engine, const RowRange& range) {
  std::vector<Row> rows;
  value_of(engine.rows(range, [&](const Result<Row>& row) {
    REQUIRE(row.has_value());
    rows.push_back(*row);
    return true;
  }));
  return rows;
}

inline Bytes value_at(Engine& engine, const Key& key) {
  return value_of(engine.find(key)).value().outcome.value().value.value();
}

inline std::optional<Bytes> data_at(Engine& engine, ByteView key) {
  return value_of(value_of(engine.view())->get(key));
}

inline Result<void> write_data(Engine& engine, const Key& key, const DataChanges& data) {
  return engine.update(
      key,
      [&](const Current& current) {
        Change change = completing(key, "")(current);
        change.apply_data = true;
        return change;
      },
      Durability::buffered, &data);
}

#define ENGINES InFile, InDirectory, InMemory, Cached

}  // namespace once::testing
