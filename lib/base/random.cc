#include "base/random.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <random>

namespace once {

std::array<std::uint8_t, 16> random_id() {
  std::array<std::uint8_t, 16> id{};
  std::size_t filled = 0;
  while (filled < id.size()) {
    const ssize_t got = ::getrandom(id.data() + filled, id.size() - filled, 0);
    if (got < 0) {
      // Interrupted, or a kernel without the call: the library's source never fails half-way.
      std::random_device device;
      for (; filled < id.size(); ++filled) id[filled] = static_cast<std::uint8_t>(device());
      break;
    }
    filled += static_cast<std::size_t>(got);
  }
  return id;
}

std::string uuid_v7(Time now) {
  auto id = random_id();
  const auto milliseconds = static_cast<std::uint64_t>(now.time_since_epoch().count());
  for (std::size_t i = 0; i < 6; ++i) {
    id[i] = static_cast<std::uint8_t>(milliseconds >> (8 * (5 - i)));
  }
  id[6] = static_cast<std::uint8_t>((id[6] & 0x0f) | 0x70);
  id[8] = static_cast<std::uint8_t>((id[8] & 0x3f) | 0x80);
  std::string text;
  for (std::size_t i = 0; i < id.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", id[i]);
  }
  return text;
}

}  // namespace once
