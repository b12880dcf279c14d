#include "screen.h"

#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <string_view>

#include "writing.h"

namespace once::tool {
namespace {

constexpr std::string_view enter = "\x1b[?1049h\x1b[?25l";  // alternate screen, no cursor
constexpr std::string_view leave = "\x1b[?25h\x1b[?1049l";
// A picture between these appears at once; a terminal that does not know them ignores them.
constexpr std::string_view begin_picture = "\x1b[?2026h";
constexpr std::string_view end_picture = "\x1b[?2026l";
constexpr std::string_view home = "\x1b[H";
// Before a line is written: behind one that fills its row it would take the last character.
constexpr std::string_view clear_line = "\x1b[2K";
constexpr std::string_view end_of_line = "\r\n";
constexpr std::string_view clear_below = "\x1b[J";

// The signal handler's: a signal that comes between drawing and waiting must be seen as well.
volatile std::sig_atomic_t resized_eventfd = -1;

void note_resize(int) {
  const int saved = errno;
  const std::uint64_t one = 1;
  if (::write(resized_eventfd, &one, sizeof one) < 0) {
    // Full means that it is readable already, which is all that is asked of it.
  }
  errno = saved;
}

}  // namespace

Screen::Screen() : resized_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  resized_eventfd = resized_;
  struct sigaction resized{};
  resized.sa_handler = &note_resize;
  resized.sa_flags = SA_RESTART;
  ::sigaction(SIGWINCH, &resized, &resized_before_);
  if (::isatty(STDIN_FILENO) == 1 && ::tcgetattr(STDIN_FILENO, &before_) == 0) {
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    keys_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) == 0;
  }
  (void)write_all(STDOUT_FILENO, enter);  // show() tells when there is nobody to write to
}

Screen::~Screen() {
  (void)write_all(STDOUT_FILENO, leave);
  ::sigaction(SIGWINCH, &resized_before_, nullptr);
  resized_eventfd = -1;
  if (resized_ >= 0) ::close(resized_);
  if (keys_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
}

Screen::Size Screen::size() {
  winsize window{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_row == 0) return {};
  return {.rows = window.ws_row, .columns = std::max<std::size_t>(window.ws_col, 1)};
}

bool Screen::show(const std::vector<std::string>& lines) {
  std::uint64_t resizes = 0;  // those before the size is read are in what is drawn
  (void)!::read(resized_, &resizes, sizeof resizes);
  std::string bytes(begin_picture);
  bytes += home;
  const std::size_t high = size().rows;
  const std::size_t rows = std::min(lines.size(), high);
  for (std::size_t row = 0; row < rows; ++row) {
    bytes += clear_line;
    bytes += lines[row];
    // No line break behind the window's last row: it would scroll.
    if (row + 1 < high) bytes += end_of_line;
  }
  if (rows < high) bytes += clear_below;
  bytes += end_picture;
  return write_all(STDOUT_FILENO, bytes) == 0;
}

std::optional<char> Screen::key() const {
  if (!keys_) return std::nullopt;
  const auto next = [] {
    char byte = 0;
    return ::read(STDIN_FILENO, &byte, 1) == 1 ? std::optional(byte) : std::nullopt;
  };
  const std::optional<char> key = next();
  if (key != '\x1b') return key;
  // What an arrow or a function key sends comes at once, and what is typed behind it may have come
  // as well: CSI ends with a byte from @ on, SS3 is followed by one (ECMA-48, sections 5.4
  // and 8.3).
  std::optional<char> byte = next();
  if (byte == 'O') {
    (void)next();
  } else if (byte == '[') {
    do byte = next();
    while (byte && (*byte < '@' || *byte > '~'));
  }
  return '\0';
}

int Screen::descriptor() const {
  return keys_ ? STDIN_FILENO : -1;
}

int Screen::resized_descriptor() const {
  return resized_;
}

std::string cut(const std::string& text, std::size_t width) {
  std::size_t characters = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool begins = (static_cast<unsigned char>(text[at]) & 0xc0U) != 0x80U;
    if (begins && characters++ == width) return text.substr(0, at);
  }
  return text;
}

}  // namespace once::tool
