// Tells when the file of a store changes, or something in its directory (inotify(7)).
//
//   auto watch = Watch::open("payments.once").value();
//   poll(... watch.descriptor() ...);
//   if (watch.take().value()) look_at_the_store();
//
// Looking at a store is no change: only writing, making, renaming and removing files are told.
#pragma once

#include <string>

#include "once/error.h"

namespace once::tool {

class Watch {
 public:
  // Errors: store_missing, permission, io (the system's limit of watches is reached).
  static Result<Watch> open(const std::string& store);
  Watch(Watch&& other) noexcept;
  Watch& operator=(Watch&&) = delete;
  ~Watch();

  // Watches what is new since the last time. Errors: as open().
  Result<void> look_again();
  // Readable when there is something to take().
  [[nodiscard]] int descriptor() const { return descriptor_; }
  // Takes what has come, without waiting. Whether there was anything.
  Result<bool> take();

 private:
  Watch(std::string store, int descriptor) : store_(std::move(store)), descriptor_(descriptor) {}
  Result<void> add(const std::string& path);

  std::string store_;
  int descriptor_;
};

}  // namespace once::tool
