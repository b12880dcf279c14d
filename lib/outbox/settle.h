// Changes of events that are in the outbox: by the relay, whose token fences them, and by hand.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "engine/engine.h"
#include "store/store_impl.h"

namespace once::outbox {

// Sees the events asked for as they stand (nullopt: gone), in the order asked. May be called more
// than once.
using Decide =
    std::function<engine::OutboxChange(std::span<const std::optional<Event>> events, Time now)>;

// By a relay. Errors: fenced, and nothing changed, when `token` does not hold the right to deliver
// any more.
[[nodiscard]] Result<void> settle(Store::Impl& store, Token token,
                                  std::span<const std::uint64_t> sequences, const Decide& decide,
                                  Durability durability);

// By hand, whoever has the right to deliver: makes the relay read everything anew.
[[nodiscard]] Result<void> edit(Store::Impl& store, std::span<const std::uint64_t> sequences,
                                const Decide& decide);

// Visits the events `left` behind, then those with a sequence greater than `after`, until `visit`
// returns false. Among both may be some that were delivered. An event whose row cannot be read is
// visited as an error that says what to do about it.
[[nodiscard]] Result<void> visit_events(engine::Reading& reading,
                                        std::span<const std::uint64_t> left, std::uint64_t after,
                                        const engine::EventVisitor& visit);

}  // namespace once::outbox
