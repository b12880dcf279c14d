#include "output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "interrupts.h"
#include "writing.h"

namespace once::tool {
namespace {

constexpr std::size_t block_bytes = std::size_t{64} << 10;

bool wants_colours() {
  const char* no_color = std::getenv("NO_COLOR");  // no-color.org: set and not empty
  const char* term = std::getenv("TERM");
  return (no_color == nullptr || *no_color == '\0') && term != nullptr &&
         std::string_view(term) != "dumb";
}

std::string_view escape_of(Colour colour) {
  switch (colour) {
    case Colour::none:
      return "";
    case Colour::bold:
      return "\x1b[1m";
    case Colour::dim:
      return "\x1b[2m";
    case Colour::red:
      return "\x1b[31m";
    case Colour::green:
      return "\x1b[32m";
    case Colour::yellow:
      return "\x1b[33m";
  }
  return "";
}

}  // namespace

Output::Output() : terminal_(::isatty(STDOUT_FILENO) == 1), colours_(terminal_ && wants_colours()) {
  std::signal(SIGPIPE, SIG_IGN);
}

bool Output::write(std::string_view bytes) {
  if (stopped_) return false;
  if (terminal_) ProgressBar::make_way();
  buffer_.append(bytes);
  return buffer_.size() < block_bytes || flush();
}

bool Output::line(std::string_view text) {
  if (!write(text) || !write("\n")) return false;
  return !terminal_ || flush();
}

bool Output::flush() {
  if (!stopped_) {
    if (terminal_) ProgressBar::make_way();
    const auto interrupted = [] { return Interrupts::caught() != 0; };
    const int failed = write_all(STDOUT_FILENO, buffer_, interrupted);
    if (failed != EINTR) error_ = failed;
    stopped_ = failed != 0 || interrupted();
  }
  buffer_.clear();
  return !stopped_;
}

void Output::finish(Context& context) {
  flush();
  if (error_ == 0 || error_ == EPIPE) return;
  context.fail(exit_store, fmt::format("cannot write the output: {}; what was written is not whole",
                                       std::strerror(error_)));
}

std::string Output::paint(Colour colour, std::string_view text) const {
  if (!colours_ || colour == Colour::none) return std::string(text);
  return fmt::format("{}{}\x1b[0m", escape_of(colour), text);
}

std::string pad(std::string_view text, std::size_t width) {
  std::size_t characters = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) ++characters;
  }
  std::string padded(text);
  if (characters < width) padded.append(width - characters, ' ');
  return padded;
}

std::string counted(std::uint64_t count, std::string_view one) {
  return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
}

}  // namespace once::tool
