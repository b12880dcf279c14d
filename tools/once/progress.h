// A bar on stderr for what takes over a second, if somebody looks: stderr is a terminal.
//
//   ProgressBar bar("loading");
//   bar.tell(++rows, 0, "rows");
//
// A thread draws it, so that it also lives while nobody tells anything: in work that cannot say how
// far it is, and from one thing told to the next. It is gone when the ProgressBar is, and makes way
// for whatever else is written to the terminal. Who opens a store by open_to_read() or
// open_to_write() has one with it (context.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>

#include "base/mutex.h"
#include "once/clock.h"
#include "once/store.h"

namespace once::tool {

// At most one at a time. Thread-safe.
class ProgressBar {
 public:
  // Empty `doing`: none, for who has the screen for itself.
  explicit ProgressBar(std::string_view doing);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar();

  // `done` of `total` (0: not known) `of`, which names what is counted or worked on.
  void tell(std::uint64_t done, std::uint64_t total, std::string_view of);
  // For the functions of Store; must not outlive this.
  [[nodiscard]] once::Progress listener();
  // Before something is written to where a bar may be: takes away the one that there is, if any,
  // until a second has passed without this. say() and Output call it.
  static void make_way();

 private:
  void step_aside();
  void run();
  void draw(Duration now) ONCE_REQUIRES(mutex_);
  void clear() ONCE_REQUIRES(mutex_);

  const std::string doing_;
  const std::shared_ptr<const Clock> clock_ = system_clock();
  const Duration started_ = clock_->since_boot();

  Mutex mutex_;
  CondVar changed_;
  std::uint64_t done_ ONCE_GUARDED_BY(mutex_) = 0;
  std::uint64_t total_ ONCE_GUARDED_BY(mutex_) = 0;
  std::string of_ ONCE_GUARDED_BY(mutex_);  // empty: nothing was told yet
  Duration next_ ONCE_GUARDED_BY(mutex_);   // when it is drawn next, since boot
  bool drawn_ ONCE_GUARDED_BY(mutex_) = false;
  bool ended_ ONCE_GUARDED_BY(mutex_) = false;

  std::thread thread_;  // none: nobody looks

  static std::atomic<ProgressBar*> drawn_by_;  // the one with a thread
};

}  // namespace once::tool
