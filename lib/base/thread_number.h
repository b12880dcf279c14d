// A small number for each thread, for what is kept in several copies so that threads do not write
// to the same line of a processor's cache.
#pragma once

#include <atomic>
#include <cstddef>

namespace once {

inline constexpr std::size_t cache_line_bytes = 64;

// Counted up from 0 in the order in which threads first ask.
[[nodiscard]] inline std::size_t thread_number() noexcept {
  static std::atomic<std::size_t> next = 0;
  thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed);
  return mine;
}

}  // namespace once
