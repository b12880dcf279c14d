// The simulated twin of a container's device: in memory, with a disk's ways of failing.
//
//   SimulatedDevice device;
//   device.inject({.kind = CallKind::sync, .nth = 3});         // the third sync from now fails
//   ...
//   SimulatedDevice after(device.moment().crash({CrashPlan::Kind::none}));   // the power went
//
// It keeps what is durable and what was changed since the last sync apart. Reads show both, as the
// page cache does, also what a failed sync has left adrift. A call that the container must not
// make (a write outside of the size) ends the program, with the last calls told.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "container/device.h"
#include "support/disk_image.h"

namespace once::testing {

enum class CallKind : std::uint8_t { read, write, sync, resize, punch, allocate, query };
inline constexpr std::size_t call_kinds = 7;
[[nodiscard]] std::string_view to_string(CallKind kind);

// What goes wrong, and when.
struct Fault {
  enum class Effect : std::uint8_t {
    none_done,    // an error, and nothing happened
    partly,       // an error, and a part happened: half of the bytes; of a resize or punch, all
    lost,         // writes: answered ok, never happens
    misdirected,  // writes: answered ok, lands at `to` instead
  };

  std::optional<CallKind> kind{};  // nothing: calls of any kind
  std::uint64_t nth = 1;           // counted from when it is injected
  bool for_ever = false;           // all after it, too
  Effect effect = Effect::none_done;
  // io or no_space. Calls that never answer no_space by Device's promise answer io instead.
  ErrorCode code = ErrorCode::io;
  std::uint64_t to = 0;
};

// The disk after a call, and how many calls there had been.
struct KeptMoment {
  std::uint64_t calls = 0;
  Moment moment{};
};

struct CallCounts {
  std::array<std::uint64_t, call_kinds> by_kind{};
  std::uint64_t total = 0;

  [[nodiscard]] std::uint64_t of(CallKind kind) const {
    return by_kind[static_cast<std::size_t>(kind)];
  }
};

// Thread-safe.
class SimulatedDevice final : public container::Device {
 public:
  // More than any test needs, so that a device that grows without end is found.
  static constexpr std::uint64_t default_capacity = std::uint64_t{1} << 30;

  explicit SimulatedDevice(DiskImage image = {}, std::string name = "simulated.once");
  // A disk between two calls, as the next process finds it: `shown` is what reads show.
  SimulatedDevice(Moment moment, DiskImage shown, std::string name = "simulated.once");

  Result<void> read(std::uint64_t offset, std::size_t length, char* buffer) override;
  Result<void> write(std::uint64_t offset, std::string_view bytes) override;
  Result<void> sync() override;
  Result<void> resize(std::uint64_t bytes) override;
  Result<void> punch(std::uint64_t offset, std::uint64_t length) override;
  Result<void> allocate(std::uint64_t offset, std::uint64_t length) override;
  void will_be_written(std::uint64_t, std::uint64_t) override {}
  void start_writing(std::uint64_t, std::uint64_t) override {}
  Result<std::uint64_t> size() override;
  Result<std::uint64_t> space_left() override;
  const std::string& name() const override { return name_; }

  // The disk as it stands, to be crashed. Cheap.
  [[nodiscard]] Moment moment() const;
  // What reads show.
  [[nodiscard]] DiskImage image() const;

  // Keeps the disk as it stands now, and after every call from now on that may change it.
  void keep_moments();
  [[nodiscard]] std::vector<KeptMoment> moments() const;

  void inject(const Fault& fault);
  // No fault from now on. What was done stays done.
  void heal();
  // How often a fault struck, by what it struck.
  [[nodiscard]] CallCounts struck() const;
  [[nodiscard]] CallCounts calls() const;

  // The space that the disk has. May be less than what is in use: then nothing more goes.
  void set_capacity(std::uint64_t bytes);
  // Flips bits of a byte, on the disk and in what reads show.
  void rot(std::uint64_t offset, std::uint8_t mask = 1);

  // Remembers calls from now on, for messages.
  void keep_log();
  // The last `lines` of them, one a line.
  [[nodiscard]] std::string log(std::size_t lines = 60) const;
  // Is told of misuse in place of the program's end.
  void on_misuse(std::function<void(const std::string&)> handler);

 private:
  struct Armed {
    Fault fault;
    std::uint64_t left = 0;  // calls until it strikes; 0: it strikes
  };
  // What becomes of the call that is being made.
  struct Call {
    CallKind kind = CallKind::query;
    std::optional<Fault> fault{};
    std::string text{};
  };

  Call begin(CallKind kind, std::uint64_t offset, std::uint64_t length) ONCE_REQUIRES(mutex_);
  void end(const Call& call, std::string_view answer) ONCE_REQUIRES(mutex_);
  std::unexpected<Error> failed(const Call& call) ONCE_REQUIRES(mutex_);
  std::unexpected<Error> full(const Call& call) ONCE_REQUIRES(mutex_);
  std::unexpected<Error> misused(const Call& call, const std::string& how) ONCE_REQUIRES(mutex_);
  void change_bytes(std::uint64_t offset, std::string_view bytes) ONCE_REQUIRES(mutex_);
  void change(Change::Kind kind, std::uint64_t offset, std::uint64_t length) ONCE_REQUIRES(mutex_);
  [[nodiscard]] bool has_space(std::uint64_t more) const ONCE_REQUIRES(mutex_);

  const std::string name_;
  mutable Mutex mutex_;
  DiskImage shown_ ONCE_GUARDED_BY(mutex_);
  Moment moment_ ONCE_GUARDED_BY(mutex_);
  std::uint64_t capacity_ ONCE_GUARDED_BY(mutex_) = default_capacity;
  std::vector<Armed> faults_ ONCE_GUARDED_BY(mutex_);
  CallCounts struck_ ONCE_GUARDED_BY(mutex_);
  CallCounts calls_ ONCE_GUARDED_BY(mutex_);
  bool keeps_moments_ ONCE_GUARDED_BY(mutex_) = false;
  std::vector<KeptMoment> moments_ ONCE_GUARDED_BY(mutex_);
  bool keeps_log_ ONCE_GUARDED_BY(mutex_) = false;
  std::vector<std::string> log_ ONCE_GUARDED_BY(mutex_);
  std::function<void(const std::string&)> misuse_ ONCE_GUARDED_BY(mutex_);
};

}  // namespace once::testing
