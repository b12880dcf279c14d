// How long a test took, for its last message.
#pragma once

#include <chrono>

namespace once::testing {

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
    return passed.count();
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace once::testing
