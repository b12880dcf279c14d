#include "writing.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace once::tool {

int write_all(int fd, std::string_view bytes, const std::function<bool()>& give_up) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(wrote));
      continue;
    }
    if (errno == EAGAIN) {
      pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
      if (::poll(&ready, 1, -1) >= 0) continue;
    }
    if (errno != EINTR) return errno;
    if (give_up && give_up()) return EINTR;
  }
  return 0;
}

}  // namespace once::tool
