// Lock: a named lease with a fencing token. One holder at a time; a holder that died, or that could
// not renew, is replaced.
//
//   auto lock = once::Lock::acquire(store, "nightly", {.wait = std::chrono::minutes(10)});
//   if (!lock) return handle(lock.error());          // busy: names the holder
//   write_report(lock->token().value);               // whoever reads it can refuse an older token
//   // unlocks at the end of the scope
//
// A lock is the key `/once.lock/NAME` of the store, the same that `once lock STORE NAME` holds: it
// can be looked at with `once get`. The lease is renewed in the background while the Lock lives,
// and the token is handed out so that what the lock guards can refuse a holder that was replaced
// (M. Kleppmann, "How to do distributed locking", 2016): between losing the lease and noticing it,
// nothing but the token tells.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "once/store.h"

namespace once {

// Locks are keys of this operation, with an empty tenant.
inline constexpr std::string_view lock_operation = "once.lock";

struct LockOptions {
  // How long the lock stays ours if we cannot renew; renewed every third of it.
  Duration lease = std::chrono::minutes(1);
  // How long to wait while somebody else holds it. 0: busy at once.
  Duration wait = std::chrono::seconds(30);
  // Synced: who has got the lock has it after a power cut too, until the lease lapses. Buffered is
  // faster, and as good where the machine's end is the end of all that the lock guards.
  Durability durability = Durability::synced;
  std::stop_token stop{};  // gives the wait up at once: ErrorCode::cancelled
};

// Who holds a lock.
struct LockOwner {
  Token token{};
  Holder holder{};     // the process
  Time renewed_at{};   // when it was got or last renewed
  Time lease_until{};  // it holds until then unless renewed
};

// Movable; one thread at a time uses a Lock. It may not outlive the store, which may not be moved
// while it lives.
class Lock {
 public:
  // Gets the lock `name` (1 to 1,024 bytes), waiting for whoever holds it. Not recursive: a thread
  // that holds it waits for itself. Errors: invalid_argument or limit_exceeded (the name), busy
  // (names the holder), cancelled, conflict (somebody gave the key an outcome by hand), io (no
  // thread to renew with).
  static Result<Lock> acquire(Store& store, std::string_view name, const LockOptions& options = {});
  // The same without waiting.
  static Result<Lock> try_acquire(Store& store, std::string_view name, LockOptions options = {});
  // Who holds it now, or nullopt when it is free. Works on a store opened to read, too. Errors:
  // invalid_argument or limit_exceeded (the name), damaged.
  static Result<std::optional<LockOwner>> owner(Store& store, std::string_view name);

  Lock(Lock&&) noexcept;
  Lock& operator=(Lock&&) noexcept;
  // Unlocks. That this failed shows in nothing but that the next holder waits for the lease.
  ~Lock();

  [[nodiscard]] const std::string& name() const;
  // Greater than that of every holder before.
  [[nodiscard]] Token token() const;
  // True when a renewal was refused, because somebody else has taken the lock over. That it is
  // false proves nothing; renew() asks.
  [[nodiscard]] bool lost() const;
  // Asks the store: lengthens the lease from now. Errors: fenced (the lock is lost).
  Result<void> renew();
  // Gives the lock back; the next who waits has it at once. Errors: fenced (it was lost before). To
  // unlock again does nothing.
  Result<void> unlock();

 private:
  struct Held;
  explicit Lock(std::unique_ptr<Held> held);
  std::unique_ptr<Held> held_;  // null when unlocked
  std::string name_;
  Token token_{};
};

}  // namespace once
