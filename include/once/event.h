// Event: a message in the outbox, committed together with the outcome that it tells of.
//
//   store.transact("order-9", [&](once::Transaction& tx) -> once::Result<once::Bytes> {
//     if (auto put = tx.publish({.aggregate_type = "order", .aggregate_id = "9",
//                                .type = "order.placed", .payload = json}); !put)
//       return std::unexpected(put.error());
//     return "placed";
//   });
//
// A Relay (once/outbox.h) delivers it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "once/bytes.h"
#include "once/clock.h"

namespace once {

enum class EventStatus : std::uint8_t {
  pending = 1,    // not delivered yet; never swept
  delivered = 2,  // kept until expires_at
  dead = 3,       // given up on: a dead letter; never swept
};

struct Event {
  std::uint64_t sequence = 0;  // given by the store, in the order of commits
  std::string id{};            // given by the store (UUIDv7) when empty
  std::string aggregate_type{};
  // Events of one aggregate (type and id together) are delivered in order. Those that name none
  // wait for nobody.
  std::string aggregate_id{};
  std::string type{};
  Bytes payload{};
  std::map<std::string, std::string> headers{};   // travel with the event
  std::map<std::string, std::string> metadata{};  // stay in the store
  EventStatus status = EventStatus::pending;
  std::uint32_t retries = 0;  // attempts to deliver it that failed
  Time created_at{};
  Time published_at{};       // 0 until delivered
  Time expires_at{};         // delivered: when it may be swept; else 0
  Time next_attempt_at{};    // pending, after a failure: not before this; else 0
  std::string last_error{};  // why the last attempt failed; empty: none did

  friend bool operator==(const Event&, const Event&) = default;
};

// "pending", "delivered", "dead". Never null.
[[nodiscard]] std::string_view to_string(EventStatus status) noexcept;

}  // namespace once
