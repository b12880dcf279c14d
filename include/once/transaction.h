// Transaction: the application's own reads and writes, its events, its checkpoints and the outcome,
// all in one commit.
//
//   store.transact("transfer:tx-9", [&](once::Transaction& tx) -> once::Result<once::Bytes> {
//     auto from = tx.get("balance/alice");
//     if (!from) return std::unexpected(from.error());
//     ...
//     if (auto put = tx.put("balance/alice", less); !put) return std::unexpected(put.error());
//     return "done";
//   });
//
// Serializable: the effect is as if transactions ran one after the other. Reads come from a
// snapshot and from the transaction's own writes; at commit everything read, ranges included, must
// be unchanged, or the work runs again (optimistic validation in commit order: H. T. Kung and
// J. T. Robinson, "On Optimistic Methods for Concurrency Control", 1981). So the work may run more
// than once and must have no effect outside `tx`.
//
// A Transaction belongs to one call of the work: not thread-safe, not to be kept. It changes one
// store; for effects in several places see once/coordinator.h.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "once/bytes.h"
#include "once/error.h"
#include "once/event.h"

namespace once {

inline constexpr std::size_t max_data_key_bytes = 4096;

class Transaction {
 public:
  class Impl;
  explicit Transaction(Impl& impl) : impl_(impl) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // The value of `key`, or nullopt when there is none. Errors: invalid_argument (key not 1 to
  // 4,096 bytes), damaged, io.
  Result<std::optional<Bytes>> get(ByteView key);
  // Visits the rows from `from` up to and not including `to` (empty: to the end), in byte order,
  // until `visit` returns false. Errors: as get().
  Result<void> scan(ByteView from, ByteView to,
                    const std::function<bool(ByteView key, ByteView value)>& visit);

  // What follows takes effect when the transaction commits, all or nothing and with its durability
  // (TransactOptions::durability). Until then it is kept in memory, and of the rows only this
  // transaction's own get() and scan() know. What is passed is copied.

  // Sets the value of `key`. Errors: invalid_argument (key not 1 to 4,096 bytes), limit_exceeded
  // (value over Options::max_outcome_bytes).
  Result<void> put(ByteView key, ByteView value);
  // Removes `key`; one that is not there is no error. Errors: invalid_argument, as put().
  Result<void> erase(ByteView key);
  // Adds an event to the outbox, behind those of this transaction before it. Its sequence is given
  // at the commit. Errors: limit_exceeded (over Options::max_event_bytes).
  Result<void> publish(Event event);
  // Keeps a finished step with the transaction's own key; see once/checkpoint.h. Errors:
  // invalid_argument (an empty name), limit_exceeded.
  Result<void> save_checkpoint(ByteView name, ByteView data);

 private:
  Impl& impl_;
};

}  // namespace once
