// Checkpoint: a finished step of a workflow with its output, so that a run that died is resumed and
// not started over.
//
//   store.save_checkpoint(reservation, "charged", receipt);
//   for (auto& done : store.load_checkpoints(reservation.key).value()) skip(done.name);
#pragma once

#include <cstdint>
#include <string>

#include "once/bytes.h"
#include "once/clock.h"
#include "once/record.h"

namespace once {

inline constexpr std::size_t max_checkpoint_name_bytes = 255;

struct Checkpoint {
  std::string name{};          // of the step; saving the same name again replaces it
  Bytes data{};                // its output
  Token token{};               // of the reservation that saved it
  std::uint64_t sequence = 0;  // given by the store, in the order of commits
  Time created_at{};

  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

}  // namespace once
