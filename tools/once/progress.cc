#include "progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <system_error>

#include "screen.h"
#include "text.h"

namespace once::tool {
namespace {

constexpr Duration before_first = std::chrono::seconds(1);
constexpr Duration between = std::chrono::milliseconds(100);
constexpr std::uint64_t bar_width = 30;
constexpr std::size_t usual_columns = 80;

void to_stderr(const std::string& text) {
  // A bar that cannot be drawn is no reason to stop what it tells of.
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;
}

// A longer line would wrap, and only its last part could be taken away again.
std::size_t columns() {
  winsize window{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col != 0;
  return known ? window.ws_col : usual_columns;
}

}  // namespace

std::atomic<ProgressBar*> ProgressBar::drawn_by_ = nullptr;

ProgressBar::ProgressBar(std::string_view doing) : doing_(doing), next_(started_ + before_first) {
  if (doing.empty() || ::isatty(STDERR_FILENO) != 1) return;
  // Signals belong to the thread that works: they must end its reads and writes.
  sigset_t all{};
  sigset_t before{};
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { run(); });
    drawn_by_ = this;
  } catch (const std::system_error&) {
    // Without a thread there is no bar.
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ProgressBar::~ProgressBar() {
  if (!thread_.joinable()) return;
  drawn_by_ = nullptr;
  {
    MutexLock lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
  MutexLock lock(mutex_);
  clear();
}

once::Progress ProgressBar::listener() {
  return [this](std::uint64_t done, std::uint64_t total, std::string_view of) {
    tell(done, total, of);
  };
}

void ProgressBar::tell(std::uint64_t done, std::uint64_t total, std::string_view of) {
  if (!thread_.joinable()) return;
  MutexLock lock(mutex_);
  done_ = done;
  total_ = total;
  of_ = of;
}

void ProgressBar::make_way() {
  if (ProgressBar* const bar = drawn_by_) bar->step_aside();
}

void ProgressBar::step_aside() {
  MutexLock lock(mutex_);
  clear();
  next_ = clock_->since_boot() + before_first;
}

void ProgressBar::run() {
  MutexLock lock(mutex_);
  while (!ended_) {
    const Duration now = clock_->since_boot();
    if (now >= next_) draw(now);
    changed_.wait_until(mutex_, *clock_, next_);
  }
}

void ProgressBar::draw(Duration now) {
  std::string text = fmt::format("{} ", doing_);
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    const auto full = static_cast<std::size_t>(share * static_cast<double>(bar_width));
    text += fmt::format("[{}{}] {:3.0f}% ", std::string(full, '#'),
                        std::string(bar_width - full, '.'), share * 100);
  }
  if (done_ > 0) text += fmt::format("{} ", done_);
  if (!of_.empty()) text += fmt::format("{} ", printable(of_));
  text += fmt::format("({} s)", std::chrono::floor<std::chrono::seconds>(now - started_).count());
  to_stderr("\r\x1b[K" + cut(text, columns() - 1));
  drawn_ = true;
  next_ = now + between;
}

void ProgressBar::clear() {
  if (drawn_) to_stderr("\r\x1b[K");
  drawn_ = false;
}

}  // namespace once::tool
