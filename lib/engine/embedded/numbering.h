// Gives tokens and sequences: numbers that grow and are never given twice, for one sync an opening.
//
// What a number is: model/numbers.h. The opening number is raised in the store, and synced, on
// every opening, so the counters need not be stored. When a counter is used up the opening number
// is raised once more.
#pragma once

#include <cstdint>
#include <functional>

#include "base/mutex.h"
#include "once/error.h"
#include "once/record.h"

namespace once::engine {

// Thread-safe. Tokens and sequences are counted apart.
class Numbering {
 public:
  // Makes `opening` durable before it returns ok.
  using SaveOpening = std::function<Result<void>(std::uint64_t opening)>;

  explicit Numbering(SaveOpening save) : save_(std::move(save)) {}

  // Raises the opening number to `next` at least. Called on opening.
  Result<void> raise(std::uint64_t next);
  Result<Token> token();
  Result<std::uint64_t> sequence();
  [[nodiscard]] std::uint64_t opening() const;

 private:
  Result<std::uint64_t> next(std::uint64_t& counter) ONCE_REQUIRES(mutex_);
  Result<void> raise_locked(std::uint64_t next) ONCE_REQUIRES(mutex_);

  const SaveOpening save_;
  mutable Mutex mutex_;
  std::uint64_t opening_ ONCE_GUARDED_BY(mutex_) = 0;
  std::uint64_t token_counter_ ONCE_GUARDED_BY(mutex_) = 0;
  std::uint64_t sequence_counter_ ONCE_GUARDED_BY(mutex_) = 0;
};

}  // namespace once::engine
