// A finished record with its outcome and its key, in one piece of memory (but for digests of
// fields): what a look-up touches lies together, and costs few misses of the processor's caches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "base/thread_number.h"
#include "once/key.h"
#include "once/outcome.h"
#include "once/report.h"

namespace once::engine {

class CachedAnswer {
 public:
  struct Free {
    void operator()(CachedAnswer* answer) const;
  };
  using Pointer = std::unique_ptr<CachedAnswer, Free>;

  // `found` has an outcome. Not `whole`: its texts are left out.
  static Pointer make(std::uint64_t hash, const Key& key, const Found& found, bool whole);
  CachedAnswer(const CachedAnswer&) = delete;
  CachedAnswer& operator=(const CachedAnswer&) = delete;

  // The memory that make() takes, without headers of allocations.
  [[nodiscard]] static std::size_t bytes_for(const Key& key, const Found& found, bool whole);

  [[nodiscard]] bool is_of(const Key& key) const;
  // Asks for the memory that reading it takes, all at once: it has seldom been looked at lately.
  void prefetch() const {
    const char* const begin = reinterpret_cast<const char*>(this);
    for (std::size_t at = 0; at < sizeof *this + prefetched_text; at += cache_line_bytes) {
      __builtin_prefetch(begin + at);
    }
  }
  [[nodiscard]] const Record& record() const { return record_; }
  [[nodiscard]] Outcome outcome() const;

  const std::uint64_t hash;
  const std::size_t bytes;
  const bool whole;
  // For who keeps it.
  bool asked_for = false;      // since it was last looked whether it was
  std::uint32_t place = 0;     // among all
  std::uint64_t accesses = 0;  // how often its outcome was given

 private:
  static constexpr std::size_t prefetched_text = 320;  // a key and a small outcome

  CachedAnswer(std::uint64_t hash_of_key, std::size_t all_bytes, bool is_whole,
               Record&& record) noexcept
      : hash(hash_of_key), bytes(all_bytes), whole(is_whole), record_(std::move(record)) {}
  ~CachedAnswer() = default;

  // The texts stand behind the object, in this order.
  struct Lengths {
    std::uint32_t id = 0;
    std::uint32_t operation = 0;
    std::uint32_t tenant = 0;
    std::uint32_t content_type = 0;
    std::uint32_t code = 0;
    std::uint32_t message = 0;
    std::size_t value = 0;
  };
  [[nodiscard]] const char* texts() const { return reinterpret_cast<const char*>(this + 1); }

  Lengths lengths_{};
  OutcomeKind kind_ = OutcomeKind::success;
  bool has_value_ = false;
  std::uint64_t omitted_bytes_ = 0;
  const Record record_;
};

}  // namespace once::engine
