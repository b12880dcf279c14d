#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "text.h"

namespace once::tool {
namespace {

constexpr auto before_first = std::chrono::seconds(1);
constexpr auto between = std::chrono::milliseconds(100);
constexpr std::uint64_t bar_width = 30;

void to_stderr(const std::string& text) {
  // A bar that cannot be drawn is no reason to stop what it tells of.
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;
}

}  // namespace

ProgressBar::ProgressBar(std::string_view doing)
    : doing_(doing), terminal_(::isatty(STDERR_FILENO) == 1), next_(Clock::now() + before_first) {}

ProgressBar::~ProgressBar() {
  if (drawn_) to_stderr("\r\x1b[K");
}

once::Progress ProgressBar::listener() {
  return [this](std::uint64_t done, std::uint64_t total, std::string_view of) {
    tell(done, total, of);
  };
}

void ProgressBar::tell(std::uint64_t done, std::uint64_t total, std::string_view of) {
  if (!terminal_) return;
  const auto now = Clock::now();
  if (now < next_) return;
  next_ = now + between;
  draw(done, total, of);
}

void ProgressBar::draw(std::uint64_t done, std::uint64_t total, std::string_view of) {
  std::string text = fmt::format("\r\x1b[K{} ", doing_);
  if (total > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    const auto full = static_cast<std::size_t>(share * static_cast<double>(bar_width));
    text += fmt::format("[{}{}] {:3.0f}% ", std::string(full, '#'),
                        std::string(bar_width - full, '.'), share * 100);
  }
  text += fmt::format("{} {}", done, printable(of));
  to_stderr(text);
  drawn_ = true;
}

}  // namespace once::tool
