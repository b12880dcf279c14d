// Counters by tenant and operation that are cheap enough to be left on.
//
//   meters.count(key, Counted::executions);
//   { const Meters::Timer timer(meters, key, Timed::execute); work(); }
//
// A cell holds the counters of one label, four times over; a thread adds to one of the four with a
// relaxed addition, so that threads seldom meet in a cache line. Cells are found without a lock, by
// open addressing over pointers that are set once and never taken back.
//
// Invariants:
//   1. There are at most max_figure_labels cells; later labels share one more (`others`).
//   2. Nothing here throws or fails: without memory for a cell, its label is one of the others.
//   3. A snapshot has every addition that happened before it was asked for. It is no moment: of
//      what is added meanwhile it may have some.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/thread_number.h"
#include "once/figures.h"
#include "once/key.h"

namespace once::metrics {

enum class Counted : std::uint8_t { executions, replays, busy, mismatches, in_doubt, fenced };
enum class Timed : std::uint8_t { execute, commit };

struct DeliveryCounts {
  std::uint64_t delivered = 0;
  std::uint64_t failures = 0;  // attempts
  std::uint64_t dead = 0;
};

// Thread-safe.
class Meters {
 public:
  // Not `detailed`: nothing is timed, and all labels are one.
  explicit Meters(bool detailed);
  ~Meters();
  Meters(const Meters&) = delete;
  Meters& operator=(const Meters&) = delete;

  void count(const Key& key, Counted what) noexcept;
  void time(const Key& key, Timed what, std::chrono::nanoseconds took) noexcept;
  // Of relays; counted even when the meters are not detailed.
  void count_deliveries(const DeliveryCounts& more) noexcept;
  [[nodiscard]] DeliveryCounts deliveries() const noexcept;
  [[nodiscard]] bool detailed() const noexcept { return detailed_; }

  // Adds the time from its making to its end, if the meters are detailed. `key` must outlive it.
  class Timer {
   public:
    Timer(Meters& meters, const Key& key, Timed what) noexcept
        : meters_(meters), key_(key), what_(what) {
      if (meters_.detailed_) start_ = std::chrono::steady_clock::now();
    }
    ~Timer() { stop(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    // Nothing is added.
    void drop() noexcept { over_ = true; }

   private:
    void stop() noexcept {
      if (over_ || !meters_.detailed_) return;
      meters_.time(key_, what_, std::chrono::steady_clock::now() - start_);
    }

    Meters& meters_;
    const Key& key_;
    const Timed what_;
    bool over_ = false;
    std::chrono::steady_clock::time_point start_{};
  };

  [[nodiscard]] Counts total() const;
  // Those that were counted, in the order of Figures::labels.
  [[nodiscard]] std::vector<LabelFigures> labels() const;

 private:
  static constexpr std::size_t shards = 4;
  static constexpr std::size_t slots = 4 * max_figure_labels;
  static_assert((slots & (slots - 1)) == 0);

  using Number = std::atomic<std::uint64_t>;
  struct Times {
    std::array<Number, Latencies::buckets> counts{};
    Number sum{};  // nanoseconds
    [[nodiscard]] Latencies read() const;
  };
  struct alignas(cache_line_bytes) Shard {
    std::array<Number, 6> counts{};
    Times execute{};
    Times commit{};
  };
  struct Cell {
    Bytes tenant;
    Bytes operation;
    std::array<Shard, shards> parts{};
    [[nodiscard]] Counts read() const;
  };

  Cell& cell_of(const Key& key) noexcept;
  Cell* insert(const Key& key, std::atomic<Cell*>& slot) noexcept;
  template <class Visit>
  void visit(Visit&& visit) const;

  const bool detailed_;
  std::array<std::atomic<Cell*>, slots> cells_{};
  std::atomic<std::size_t> labels_ = 0;
  Cell others_;
  Number delivered_ = 0;
  Number delivery_failures_ = 0;
  Number dead_letters_ = 0;
};

}  // namespace once::metrics
