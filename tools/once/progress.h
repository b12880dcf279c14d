// A bar on stderr for what takes over a second, if somebody looks: stderr is a terminal.
//
//   ProgressBar bar("sweeping");
//   auto report = store.sweep(bar.listener());
//
// It is gone when the ProgressBar is. Safe to be told from any one thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "once/store.h"

namespace once::tool {

class ProgressBar {
 public:
  explicit ProgressBar(std::string_view doing);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar();

  // `done` of `total` (0: not known) `of`, which names what is counted or worked on.
  void tell(std::uint64_t done, std::uint64_t total, std::string_view of);
  // For the functions of Store; must not outlive this.
  [[nodiscard]] once::Progress listener();

 private:
  using Clock = std::chrono::steady_clock;

  void draw(std::uint64_t done, std::uint64_t total, std::string_view of);

  const std::string doing_;
  const bool terminal_;
  Clock::time_point next_;  // not to be drawn before
  bool drawn_ = false;
};

}  // namespace once::tool
