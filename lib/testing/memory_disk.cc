// MemoryDisk: a container's device in memory that fails, and forgets, when a test says so.
//
// What was written since the last sync is undone at a power cut, from the bytes that were there
// before, in reverse.
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "container/device.h"
#include "engine/embedded/embedded_engine.h"
#include "once/testing.h"
#include "store/open_on.h"

namespace once::testing {
namespace {

constexpr std::size_t call_kinds = 4;

std::string_view name_of(DiskCall call) {
  switch (call) {
    case DiskCall::read:
      return "read";
    case DiskCall::write:
      return "write";
    case DiskCall::sync:
      return "sync";
    case DiskCall::grow:
      return "grow";
  }
  return "unnamed";
}

}  // namespace

// What the disk holds, and what goes wrong.
class MemoryDisk::State {
 public:
  // A new opening: earlier ones reach the disk no more.
  std::uint64_t open() {
    MutexLock lock(mutex_);
    return ++opening_;
  }
  void fail(const DiskFault& fault) {
    MutexLock lock(mutex_);
    faults_.push_back({.fault = fault, .left = std::max<std::uint64_t>(fault.nth, 1)});
  }
  void heal() {
    MutexLock lock(mutex_);
    faults_.clear();
  }
  void power_cut() {
    MutexLock lock(mutex_);
    for (auto at = undo_.rbegin(); at != undo_.rend(); ++at) {
      bytes_.resize(at->size);
      bytes_.replace(at->offset, at->before.size(), at->before);
    }
    undo_.clear();
    faults_.clear();
    ++opening_;
  }
  std::uint64_t calls(DiskCall call) {
    MutexLock lock(mutex_);
    return calls_[static_cast<std::size_t>(call)];
  }
  std::uint64_t failures(DiskCall call) {
    MutexLock lock(mutex_);
    return failures_[static_cast<std::size_t>(call)];
  }
  std::uint64_t bytes() {
    MutexLock lock(mutex_);
    return bytes_.size();
  }

  Result<void> read(std::uint64_t opening, std::uint64_t offset, std::size_t length, char* buffer) {
    MutexLock lock(mutex_);
    if (auto may = begin(opening, DiskCall::read); !may) return may;
    if (auto within = check(offset, length); !within) return within;
    std::memcpy(buffer, bytes_.data() + offset, length);
    return {};
  }
  Result<void> write(std::uint64_t opening, std::uint64_t offset, std::string_view bytes) {
    MutexLock lock(mutex_);
    if (auto may = begin(opening, DiskCall::write); !may) return may;
    if (auto within = check(offset, bytes.size()); !within) return within;
    remember(offset, bytes.size());
    bytes_.replace(offset, bytes.size(), bytes);
    return {};
  }
  Result<void> sync(std::uint64_t opening) {
    MutexLock lock(mutex_);
    if (auto may = begin(opening, DiskCall::sync); !may) return may;
    undo_.clear();
    return {};
  }
  Result<void> resize(std::uint64_t opening, std::uint64_t size) {
    MutexLock lock(mutex_);
    if (auto may = begin(opening, DiskCall::grow); !may) return may;
    const std::uint64_t kept = std::min<std::uint64_t>(size, bytes_.size());
    remember(kept, bytes_.size() - kept);
    bytes_.resize(size);
    return {};
  }
  Result<void> punch(std::uint64_t opening, std::uint64_t offset, std::uint64_t length) {
    MutexLock lock(mutex_);
    if (auto alive = check(opening); !alive) return alive;
    if (auto within = check(offset, length); !within) return within;
    remember(offset, length);
    bytes_.replace(offset, length, length, '\0');
    return {};
  }
  Result<void> allocate(std::uint64_t opening) {
    MutexLock lock(mutex_);
    return begin(opening, DiskCall::grow);
  }
  Result<std::uint64_t> size(std::uint64_t opening) {
    MutexLock lock(mutex_);
    if (auto alive = check(opening); !alive) return pass(alive);
    return bytes_.size();
  }

 private:
  struct Armed {
    DiskFault fault{};
    std::uint64_t left = 1;  // calls until it strikes
  };
  // What a change has replaced: `before` at `offset`, on a disk of `size` bytes.
  struct Undo {
    std::uint64_t size = 0;
    std::uint64_t offset = 0;
    std::string before{};
  };

  Result<void> check(std::uint64_t opening) ONCE_REQUIRES(mutex_) {
    if (opening == opening_) return {};
    return once::fail(ErrorCode::io,
                      "the memory disk was opened again, or its power cut, since this store was "
                      "opened on it");
  }
  Result<void> check(std::uint64_t offset, std::uint64_t length) ONCE_REQUIRES(mutex_) {
    if (offset <= bytes_.size() && length <= bytes_.size() - offset) return {};
    return once::fail(ErrorCode::damaged,
                      "the memory disk ends at {}, and bytes {} to {} are asked for", bytes_.size(),
                      offset, offset + length);
  }
  // Counts a call, and lets it fail.
  Result<void> begin(std::uint64_t opening, DiskCall call) ONCE_REQUIRES(mutex_) {
    if (auto alive = check(opening); !alive) return alive;
    ++calls_[static_cast<std::size_t>(call)];
    const DiskFault* strikes = nullptr;
    for (Armed& armed : faults_) {
      if (armed.fault.call != call || armed.left == 0) continue;
      if (--armed.left > 0) continue;
      strikes = &armed.fault;
      if (armed.fault.for_ever) armed.left = 1;
    }
    if (strikes == nullptr) return {};
    ++failures_[static_cast<std::size_t>(call)];
    const bool full = strikes->full && (call == DiskCall::write || call == DiskCall::grow);
    return once::fail(full ? ErrorCode::no_space : ErrorCode::io,
                      "the memory disk was told to fail this {}", name_of(call));
  }
  void remember(std::uint64_t offset, std::uint64_t length) ONCE_REQUIRES(mutex_) {
    undo_.push_back(
        {.size = bytes_.size(), .offset = offset, .before = bytes_.substr(offset, length)});
  }

  Mutex mutex_;
  std::string bytes_ ONCE_GUARDED_BY(mutex_);
  std::vector<Undo> undo_ ONCE_GUARDED_BY(mutex_);  // since the last sync, oldest first
  std::uint64_t opening_ ONCE_GUARDED_BY(mutex_) = 0;
  std::vector<Armed> faults_ ONCE_GUARDED_BY(mutex_);
  std::array<std::uint64_t, call_kinds> calls_ ONCE_GUARDED_BY(mutex_){};
  std::array<std::uint64_t, call_kinds> failures_ ONCE_GUARDED_BY(mutex_){};
};

// One opening's way to the disk.
class MemoryDisk::Handle final : public container::Device {
 public:
  explicit Handle(std::shared_ptr<State> state)
      : state_(std::move(state)), opening_(state_->open()) {}

  Result<void> read(std::uint64_t offset, std::size_t length, char* buffer) override {
    return state_->read(opening_, offset, length, buffer);
  }
  Result<void> write(std::uint64_t offset, std::string_view bytes) override {
    return state_->write(opening_, offset, bytes);
  }
  Result<void> sync() override { return state_->sync(opening_); }
  Result<void> resize(std::uint64_t bytes) override { return state_->resize(opening_, bytes); }
  Result<void> punch(std::uint64_t offset, std::uint64_t length) override {
    return state_->punch(opening_, offset, length);
  }
  Result<void> allocate(std::uint64_t, std::uint64_t) override {
    return state_->allocate(opening_);
  }
  void will_be_written(std::uint64_t, std::uint64_t) override {}
  void start_writing(std::uint64_t, std::uint64_t) override {}
  Result<std::uint64_t> size() override { return state_->size(opening_); }
  Result<std::uint64_t> space_left() override { return std::uint64_t{1} << 40; }
  const std::string& name() const override { return name_; }

 private:
  const std::shared_ptr<State> state_;
  const std::uint64_t opening_;
  const std::string name_ = "the memory disk";
};

MemoryDisk::MemoryDisk() : state_(std::make_shared<State>()) {}
MemoryDisk::~MemoryDisk() = default;

Result<Store> MemoryDisk::open(Options options) {
  options.layout = Layout::file;
  auto device = std::make_shared<Handle>(state_);
  auto engine = engine::EmbeddedEngine::open(
      engine::make_file_place("the memory disk", {.options = options, .device = std::move(device)}),
      options);
  if (!engine) return pass(engine);
  return open_on(std::move(*engine), options);
}

void MemoryDisk::fail(const DiskFault& fault) {
  state_->fail(fault);
}

void MemoryDisk::heal() {
  state_->heal();
}

void MemoryDisk::power_cut() {
  state_->power_cut();
}

std::uint64_t MemoryDisk::calls(DiskCall call) const {
  return state_->calls(call);
}

std::uint64_t MemoryDisk::failures(DiskCall call) const {
  return state_->failures(call);
}

std::uint64_t MemoryDisk::bytes() const {
  return state_->bytes();
}

}  // namespace once::testing
