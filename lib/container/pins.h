// Pins: how a reader of a file makes its writer hold freed space back, without talking to it.
//
// A pin is a shared lock on one of `pin_slots` places; the writer publishes which place new readers
// are to take. Space freed while place p is published may be used again when nobody holds p, nor
// a place that was published before it. The writer moves on to a free place whenever somebody holds
// the published one, so that readers that come and go do not hold space back for ever. A lock goes
// with its process, however that ends.
//
// Place `pin_of_lost` is for readers that cannot read which one is published. It never is, unless
// all others are held; while somebody holds it nothing at all is used again.
#pragma once

#include <cstdint>
#include <memory>

#include "once/error.h"

namespace once::container {

inline constexpr std::uint32_t pin_slots = 64;
inline constexpr std::uint32_t pin_of_lost = 0;

// The writer's side. Thread-safe.
class Pins {
 public:
  Pins() = default;
  Pins(const Pins&) = delete;
  Pins& operator=(const Pins&) = delete;
  virtual ~Pins() = default;

  // Whether a reader holds this place.
  [[nodiscard]] virtual Result<bool> held(std::uint32_t slot) = 0;
  // Tells readers that come from now on to take this place.
  virtual Result<void> publish(std::uint32_t slot) = 0;
};

// For a container that nobody else reads.
class NoPins final : public Pins {
 public:
  Result<bool> held(std::uint32_t) override { return false; }
  Result<void> publish(std::uint32_t) override { return {}; }
};

}  // namespace once::container
