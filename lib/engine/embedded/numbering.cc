#include "engine/embedded/numbering.h"

#include <algorithm>

#include "base/error.h"
#include "model/numbers.h"

namespace once::engine {
namespace {

constexpr std::uint64_t counter_end = model::number_before(1);

}  // namespace

Result<void> Numbering::raise(std::uint64_t next) {
  MutexLock lock(mutex_);
  return raise_locked(next);
}

Result<void> Numbering::raise_locked(std::uint64_t next) {
  const std::uint64_t raised = std::max(next, opening_ + 1);
  if (auto saved = save_(raised); !saved) return pass(saved);
  opening_ = raised;
  // From 1: number 0 stands for "none".
  token_counter_ = 1;
  sequence_counter_ = 1;
  return {};
}

Result<std::uint64_t> Numbering::next(std::uint64_t& counter) {
  if (counter == counter_end) {
    if (auto raised = raise_locked(opening_ + 1); !raised) return pass(raised);
  }
  return model::number_before(opening_) | counter++;
}

Result<Token> Numbering::token() {
  MutexLock lock(mutex_);
  auto number = next(token_counter_);
  if (!number) return pass(number);
  return Token{*number};
}

Result<std::uint64_t> Numbering::sequence() {
  MutexLock lock(mutex_);
  return next(sequence_counter_);
}

std::uint64_t Numbering::opening() const {
  MutexLock lock(mutex_);
  return opening_;
}

}  // namespace once::engine
