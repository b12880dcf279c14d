// A terminal taken over for a while, by the plain sequences of ECMA-48 that every terminal since
// the VT100 knows: the alternate screen, keys one at a time and not echoed.
//
//   Screen screen;
//   screen.show(lines);
//   if (screen.key() == 'q') return;
//
// Invariant: however the Screen ends, short of SIGKILL, the terminal is as it was: who makes one
// catches signals first (interrupts.h), and stopping (Ctrl-Z) is left to the terminal, which sends
// no signal for it here.
#pragma once

#include <signal.h>
#include <termios.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace once::tool {

class Screen {
 public:
  struct Size {
    std::size_t rows = 24;
    std::size_t columns = 80;
  };

  // Takes standard output over, and standard input if it is a terminal.
  Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  ~Screen();

  // As it is now: people change it.
  [[nodiscard]] static Size size();
  // Draws the lines, as many as fit, without flicker. They must be cut to the width, and have no
  // control characters but colours. False when the terminal is gone.
  bool show(const std::vector<std::string>& lines);
  // What was pressed, without waiting; nullopt when nothing was. Keys that send several bytes
  // (arrows) are taken and count as 0.
  [[nodiscard]] std::optional<char> key() const;
  // Readable when a key was pressed, or -1 when there are no keys; for poll(2).
  [[nodiscard]] int descriptor() const;
  // Readable when the window got another size since it was drawn, however long before the poll(2).
  [[nodiscard]] int resized_descriptor() const;

 private:
  bool keys_ = false;
  int resized_ = -1;
  termios before_{};
  struct sigaction resized_before_{};
};

// The first `width` characters of UTF-8 text without control characters.
[[nodiscard]] std::string cut(const std::string& text, std::size_t width);

}  // namespace once::tool
