// HostFile: the one file of a store as the operating system sees it: how it comes into being, who
// may write to it, and how readers make themselves felt.
//
//   auto file = HostFile::open_for_writing(path, {.timeout = timeout}, clock);
//   if ((*file)->empty()) {            // nothing counts yet
//     ...format (*file)->device(), sync it...
//     (*file)->publish();              // now there is a store at `path`, and it is whole
//   } else {
//     ...read the superblocks...
//   }
//   (*file)->announce();
//
//   PATH        the store
//   PATH.new    while it is made; renamed to PATH when it is whole, never over anything but a file
//               without a byte. What a creation that was cut off has left there is taken over
//   byte 2^62            locked (file_lock.h) by the one who has it open for writing
//   byte 2^62 + 1 + n    place n of pins.h, locked shared by each reader that pins it
//   8192 ... 12287       the holder page (host_holder.h)
//
// A lock is on the file, whatever name it was opened by: another name, a hard link or a symbolic
// link lead to the same one. This process is refused at once when it has the file open for writing
// already; others are waited for.
// Invariants: under its final name a file is whole from the first moment on, unless it was opened
// with `discard`. No byte of a file is changed that is neither a container nor the rest of one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/file_lock.h"
#include "base/mutex.h"
#include "container/host_claim.h"
#include "container/host_device.h"
#include "container/pins.h"
#include "once/clock.h"
#include "once/error.h"

namespace once::container {

struct HostFileOptions {
  bool create = true;
  Duration timeout{0};
  bool allow_network_file_system = false;
  // For writing: a store that is there already is emptied, in its place. For files that nobody
  // takes for whole before they are renamed.
  bool discard = false;
};

// Opened, published, announced and unlocked by one thread; device() and pins() are thread-safe. In
// a forked child nothing of it works, and destroying it there leaves the file to the parent.
class HostFile {
 public:
  // Locks the file at `path`, or the one it will become, and waits up to options.timeout for who
  // holds it. Errors: store_locked (naming the holder), not_a_store, store_missing, permission,
  // unsupported (network file system, no locks), io.
  static Result<std::unique_ptr<HostFile>> open_for_writing(const std::string& path,
                                                            const HostFileOptions& options,
                                                            const Clock& clock);
  // Pins the published place; changes nothing. Errors: store_missing, also for a file without a
  // byte, and the others above but for store_locked.
  static Result<std::unique_ptr<HostFile>> open_for_reading(const std::string& path,
                                                            const HostFileOptions& options);

  HostFile(const HostFile&) = delete;
  HostFile& operator=(const HostFile&) = delete;
  ~HostFile() { unlock(); }

  Device& device() { return device_; }
  // The writer's side; when open to read every call answers `unsupported`.
  // The writer looks at held() after it has published a place, and not before: then each reader
  // either is seen, or has taken the new place.
  Pins& pins() { return pins_; }

  // Nothing in it counts yet: it was just made, or had no byte, or was emptied.
  [[nodiscard]] bool empty() const { return empty_; }
  // For an empty() one, when all that is to be in it is synced: gives it its name, durably.
  // Errors: store_locked, not_a_store (something has got the name meanwhile), permission, io.
  Result<void> publish();
  // For the writer, when it has seen that the file is its own or has made it so: writes on the
  // holder page who has it open. Where that fails people are not told, nothing else. Opening does
  // it by itself for what looks like a container.
  Result<void> announce() { return pins_.announce(); }
  // For a reader that starts over: takes the place that is published now. The one it has is let go
  // of only then.
  Result<void> repin();
  // Who has it open for writing, for messages; nullopt: nobody. Only when it was opened to read.
  [[nodiscard]] Result<std::optional<std::string>> writer();

  // Closes the file and lets others have it; nothing of this can be used afterwards. An empty() one
  // that was not published goes, unless it was there before.
  void unlock();

 private:
  class Opener;

  // An open file that is locked for writing. The lock goes before the claim does.
  struct Held {
    WriterClaim claim;
    HeldFile file;
  };

  class HostPins final : public Pins {
   public:
    HostPins(HostDevice& device, int file) : device_(device), file_(file) {}
    Result<bool> held(std::uint32_t slot) override;
    Result<void> publish(std::uint32_t slot) override;
    Result<void> announce();

   private:
    [[nodiscard]] Result<void> check(std::uint32_t slot) const;
    Result<bool> has_page();
    Result<void> write_holder() ONCE_REQUIRES(mutex_);
    Result<void> write_place() ONCE_REQUIRES(mutex_);

    HostDevice& device_;
    const int file_;
    Mutex mutex_;
    bool announced_ ONCE_GUARDED_BY(mutex_) = false;
    std::optional<std::uint32_t> place_ ONCE_GUARDED_BY(mutex_){};
  };

  HostFile(HeldFile file, std::string path, HostAccess access);
  [[nodiscard]] std::uint32_t published_place();
  // Gives the file of PATH.new its name.
  Result<void> take_name();
  Result<void> replace_blank();

  const std::string path_;  // as it was given
  std::string name_{};      // where that leads to
  std::string beside_{};    // PATH.new while it has that name, else empty
  std::uint32_t generation_;
  bool empty_ = false;
  // The file without a byte that is at name_, to be replaced.
  std::optional<Held> blank_{};
  std::optional<WriterClaim> claim_{};
  HeldFile file_;
  HostDevice device_;
  HostPins pins_;
  std::optional<std::uint32_t> pinned_{};  // reading: the place that is held
};

}  // namespace once::container
