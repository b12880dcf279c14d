// Standard output, checked: what cannot be written is an error (exit 74), except that whoever reads
// may stop reading at any time.
//
//   Output out;
//   store.scan({}, [&](const Key& key, const Record&) { return out.line(key.to_string()); });
//   out.finish(context);
//
// Written in blocks, on a terminal line by line. From the first Output on, SIGPIPE is ignored in
// this process; a program started later must have it put back.
#pragma once

#include <string>
#include <string_view>

#include "context.h"

namespace once::tool {

enum class Colour { none, bold, dim, red, green, yellow };

class Output {
 public:
  Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // Adds `bytes`. False when the rest need not be made any more: a write failed, nobody reads, or
  // an interrupt was caught (see interrupts.h).
  bool write(std::string_view bytes);
  bool line(std::string_view text);
  // Writes out what is buffered. False as write().
  bool flush();
  // flush(), and tells `context` when writing failed. Must be called once, at the end.
  void finish(Context& context);

  // Whether people look at it: then there are tables.
  [[nodiscard]] bool terminal() const { return terminal_; }
  // `text` in `colour`, or as it is where colours do not belong (NO_COLOR, a pipe, a dumb
  // terminal).
  [[nodiscard]] std::string paint(Colour colour, std::string_view text) const;

 private:
  const bool terminal_;
  const bool colours_;
  std::string buffer_;
  bool stopped_ = false;
  int error_ = 0;  // errno of the write that failed
};

// Pads `text` with spaces to `width` characters on the right. Counts UTF-8 characters.
[[nodiscard]] std::string pad(std::string_view text, std::size_t width);

// "1 row", "2 rows".
[[nodiscard]] std::string counted(std::uint64_t count, std::string_view one);

}  // namespace once::tool
