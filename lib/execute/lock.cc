// Lock: a key that is reserved and released, and never finished.
#include "once/lock.h"

#include <atomic>
#include <utility>

#include "base/error.h"
#include "store/store_impl.h"

namespace once {

// What a lock is while it is held. Stays where it is: the heartbeat's thread tells it of its loss.
struct Lock::Held {
  Store& store;
  Reservation reservation;
  Durability durability;
  std::shared_ptr<std::atomic<bool>> lost = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<ledger::Heartbeat::Beat> beat{};
};

Result<Lock> Lock::acquire(Store& store, std::string_view name, const LockOptions& options) {
  const Key key("", lock_operation, name);
  auto answer = store.reserve(key, {.lease = options.lease,
                                    .on_abandon = OnAbandon::rerun,
                                    .wait = options.wait,
                                    .durability = options.durability,
                                    .stop = options.stop});
  if (!answer) return pass(answer);
  auto* reservation = std::get_if<Reservation>(&*answer);
  if (reservation == nullptr) {
    return fail(ErrorCode::conflict,
                "the key of lock '{}' has an outcome, given by hand; remove it with: once rm STORE "
                "{}",
                name, key.to_string());
  }
  auto held = std::make_unique<Held>(store, std::move(*reservation), options.durability);
  held->beat =
      store.impl_->keep_renewed(held->reservation, [lost = held->lost] { lost->store(true); });
  if (!held->beat) {
    (void)store.release(held->reservation, "no thread could be started to renew the lease",
                        options.durability);
    return fail(ErrorCode::io,
                "lock '{}': no thread could be started to renew its lease; it was not taken; try "
                "again when the system has threads to spare",
                name);
  }
  Lock lock(std::move(held));
  lock.name_ = name;
  lock.token_ = lock.held_->reservation.token;
  return lock;
}

Result<Lock> Lock::try_acquire(Store& store, std::string_view name, LockOptions options) {
  options.wait = Duration(0);
  return acquire(store, name, options);
}

Result<std::optional<LockOwner>> Lock::owner(Store& store, std::string_view name) {
  auto in_use = store.impl_->use();
  if (!in_use) return pass(in_use);
  auto found = store.find(Key("", lock_operation, name));
  if (!found) return pass(found);
  // As the next to ask would find it: a holder that has ended, or let its lease lapse, is none.
  const bool held = *found && (*found)->record.status == Status::in_progress &&
                    !store.impl_->would_repeat((*found)->record);
  if (!held) return std::nullopt;
  const Record& record = (*found)->record;
  return LockOwner{.token = record.token,
                   .holder = record.holder,
                   .renewed_at = record.updated_at,
                   .lease_until = record.lease_until};
}

Lock::Lock(std::unique_ptr<Held> held) : held_(std::move(held)) {}
Lock::Lock(Lock&&) noexcept = default;

Lock& Lock::operator=(Lock&& other) noexcept {
  if (this != &other) {
    (void)unlock();
    held_ = std::move(other.held_);
    name_ = std::move(other.name_);
    token_ = other.token_;
  }
  return *this;
}

Lock::~Lock() {
  (void)unlock();
}

const std::string& Lock::name() const {
  return name_;
}

Token Lock::token() const {
  return token_;
}

bool Lock::lost() const {
  return held_ && *held_->lost;
}

Result<void> Lock::renew() {
  if (!held_) {
    return fail(ErrorCode::fenced, "lock '{}' was given back; acquire it again", name_);
  }
  auto renewed =
      held_->store.renew(held_->reservation, held_->reservation.lease, held_->durability);
  if (renewed) return {};
  if (renewed.error().code == ErrorCode::fenced) *held_->lost = true;
  return pass(renewed);
}

Result<void> Lock::unlock() {
  if (!held_) return {};
  auto held = std::exchange(held_, nullptr);
  if (auto checked = held->store.impl_->check_process(); !checked) {
    (void)held.release();  // the parent's; see Store::let_go()
    return checked;
  }
  held->beat.reset();
  return held->store.release(held->reservation, "unlocked", held->durability);
}

}  // namespace once
