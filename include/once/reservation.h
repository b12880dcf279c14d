// Reservation: the right to carry an operation out now, and what is told to those who come later.
//
//   auto answer = store.reserve("charge:42").value();
//   if (auto* mine = std::get_if<once::Reservation>(&answer)) {
//     auto receipt = gateway.charge(order, mine->token.value);
//     store.complete(*mine, once::Outcome::success(receipt)).value();
//   } else {
//     use(std::get<once::Replay>(answer).outcome);
//   }
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "once/key.h"
#include "once/outcome.h"
#include "once/record.h"

namespace once {

// A value: copying it does not copy the right; whoever presents the token has it.
struct Reservation {
  Key key{};
  Token token{};
  std::uint32_t attempt = 1;
  Time lease_until{};
  Duration lease{};
  bool taken_over = false;  // the owner before died or let its lease lapse
};

// Where an answer comes from.
struct Provenance {
  Token token{};              // of the execution that gave the answer
  std::uint32_t attempt = 1;  // which attempt it was
  bool replayed = false;      // true: the work did not run for this call
  Time created_at{};          // first reservation
  Time finished_at{};
  Time expires_at{};  // until when it will be replayed
  // How long it will still be replayed, by the store's time when this was answered; `forever` when
  // its retention has no end.
  Duration time_to_live{};
  // How often this Store has replayed it, this time included; 0 when the work ran for this call.
  // Counted beside the outcome in the cache of replays (Options::replay_cache_bytes): it costs
  // nothing, is not kept on disk, and starts again when the outcome has left the cache.
  std::uint64_t access_count = 0;

  // Names the execution that gave the answer, the same in every replay and in every process:
  // "exec-" and the token in 16 hexadecimal digits. No two executions of a store share one.
  [[nodiscard]] std::string execution_id() const;
};

// A stored outcome, handed out again.
struct Replay {
  Outcome outcome{};
  Provenance provenance{};
};

using ReserveAnswer = std::variant<Reservation, Replay>;

// How an operation in doubt (or stuck in progress) is decided.
enum class Verdict : std::uint8_t {
  success = 1,  // it happened; `outcome` is replayed from now on
  failure = 2,  // it did not and will not; `outcome` is replayed from now on
  rerun = 3,    // it did not; the next to ask carries it out
};

}  // namespace once
