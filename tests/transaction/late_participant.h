// A participant that prepares at once, and commits when it is up.
#pragma once

#include "once/coordinator.h"

namespace once::testing {

// Reads `up` at each commit; it must live as long as the participant.
inline Participant late_participant(const std::string& name, const bool& up) {
  return {.name = name,
          .prepare = [](const ParticipantCall&) -> Result<Bytes> { return Bytes("yes"); },
          .commit = [&up](const ParticipantCall&) -> Result<void> {
            if (!up) return std::unexpected(work_retryable("down"));
            return {};
          },
          .abort = [](const ParticipantCall&) -> Result<void> { return {}; }};
}

}  // namespace once::testing
