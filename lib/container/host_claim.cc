#include "container/host_claim.h"

#include <atomic>
#include <set>
#include <utility>

#include "base/mutex.h"
#include "base/process.h"

namespace once::container {
namespace {

// The claims of one process. A forked child makes itself a new one: the mutex of this one may be
// locked for ever there, by a thread that exists in the parent only.
struct Claims {
  const std::uint32_t generation;
  const Claims* const parents;  // kept, so that nobody takes it for leaked
  Mutex mutex{};
  std::set<std::pair<dev_t, ino_t>> files ONCE_GUARDED_BY(mutex){};
};

Claims& claims_of_this_process() {
  static std::atomic<Claims*> current{nullptr};
  const std::uint32_t generation = fork_generation();
  Claims* claims = current.load(std::memory_order_acquire);
  while (claims == nullptr || claims->generation != generation) {
    auto* fresh = new Claims{.generation = generation, .parents = claims};
    if (current.compare_exchange_strong(claims, fresh, std::memory_order_acq_rel)) return *fresh;
    delete fresh;
  }
  return *claims;
}

}  // namespace

std::optional<WriterClaim> WriterClaim::take(dev_t device, ino_t inode) {
  Claims& claims = claims_of_this_process();
  const MutexLock lock(claims.mutex);
  if (!claims.files.emplace(device, inode).second) return std::nullopt;
  return WriterClaim(device, inode, claims.generation);
}

WriterClaim::WriterClaim(WriterClaim&& other) noexcept
    : device_(other.device_),
      inode_(other.inode_),
      generation_(other.generation_),
      held_(std::exchange(other.held_, false)) {}

WriterClaim& WriterClaim::operator=(WriterClaim&& other) noexcept {
  if (this == &other) return *this;
  give_up();
  device_ = other.device_;
  inode_ = other.inode_;
  generation_ = other.generation_;
  held_ = std::exchange(other.held_, false);
  return *this;
}

void WriterClaim::give_up() {
  // One that a fork has copied is the parent's.
  if (!std::exchange(held_, false) || generation_ != fork_generation()) return;
  Claims& claims = claims_of_this_process();
  const MutexLock lock(claims.mutex);
  claims.files.erase({device_, inode_});
}

}  // namespace once::container
