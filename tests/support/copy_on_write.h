// A value that copies share until one of them is written.
//
// As std::shared_ptr, but that whoever finds that nobody else has the value any more also has seen
// all that the others have read of it: shared_ptr::use_count() promises no order.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace once::testing {

// Different copies may be used by different threads at the same time, one copy may not.
template <class T>
class CopyOnWrite {
 public:
  CopyOnWrite() = default;  // holds nothing
  explicit CopyOnWrite(T value) : shared_(new Shared{.value = std::move(value)}) {}
  CopyOnWrite(const CopyOnWrite& other) : shared_(other.shared_) {
    if (shared_ != nullptr) shared_->owners.fetch_add(1, std::memory_order_relaxed);
  }
  CopyOnWrite(CopyOnWrite&& other) noexcept : shared_(std::exchange(other.shared_, nullptr)) {}
  CopyOnWrite& operator=(CopyOnWrite other) noexcept {
    std::swap(shared_, other.shared_);
    return *this;
  }
  ~CopyOnWrite() {
    if (shared_ != nullptr && shared_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      delete shared_;
    }
  }

  explicit operator bool() const { return shared_ != nullptr; }
  const T& operator*() const { return shared_->value; }
  const T* operator->() const { return &shared_->value; }
  // This copy's own from then on.
  T& to_write() {
    if (shared_->owners.load(std::memory_order_acquire) > 1) *this = CopyOnWrite(shared_->value);
    return shared_->value;
  }

 private:
  struct Shared {
    std::atomic<std::size_t> owners = 1;
    T value;
  };
  Shared* shared_ = nullptr;
};

}  // namespace once::testing
