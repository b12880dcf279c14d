#include "container/host_holder.h"

#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>

#include "base/coding.h"
#include "container/pins.h"

namespace once::container {
namespace {

constexpr std::string_view before_pid = "pid ";
constexpr std::string_view nobody_known = "another process";

bool can_be_printed(char c) {
  return c >= ' ' && c <= '~';
}

}  // namespace

std::string encode_holder_text(std::string_view text) {
  std::string bytes(text.substr(0, holder_text_bytes - 2));
  std::ranges::replace_if(bytes, [](char c) { return !can_be_printed(c); }, '?');
  bytes += '\n';
  bytes.resize(holder_text_bytes, '\0');
  return bytes;
}

std::string decode_holder_text(std::string_view bytes) {
  const std::string_view text = bytes.substr(0, std::min(bytes.find('\n'), bytes.size()));
  pid_t pid = 0;
  if (!text.starts_with(before_pid) || !text.ends_with(')') || text.size() == bytes.size() ||
      !std::ranges::all_of(text, can_be_printed)) {
    return std::string(nobody_known);
  }
  const char* first = text.data() + before_pid.size();
  const auto [end, wrong] = std::from_chars(first, text.data() + text.size(), pid);
  if (wrong != std::errc() || pid <= 0 || *end != ' ') return std::string(nobody_known);
  // The name of one that has ended would send people after the wrong process.
  if (::kill(pid, 0) != 0 && errno == ESRCH) return std::string(nobody_known);
  return std::string(text);
}

std::string encode_published_place(std::uint32_t slot) {
  std::string bytes;
  Writer writer(bytes);
  writer.u32(slot);
  writer.u32(~slot);
  return bytes;
}

std::uint32_t decode_published_place(std::string_view bytes) {
  Reader reader(bytes);
  const std::uint32_t slot = reader.u32();
  const std::uint32_t complement = reader.u32();
  return reader.done() && slot == ~complement && slot < pin_slots ? slot : pin_of_lost;
}

}  // namespace once::container
