// What the front of `once run` and its guardian say to each other, over a socket pair that keeps
// message boundaries. Both are the same program, so that messages are plain structures. When one of
// the two dies, the other reads the end of the stream: that is how each learns of it, at once.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <type_traits>

#include "descriptor.h"
#include "once/holder.h"

namespace once::supervise {

// From the front to the guardian.
struct Order {
  enum class Kind : std::uint32_t {
    go = 1,      // start the command
    signal = 2,  // pass `signal` on to it
    kill = 3,    // kill everything that it started
    done = 4,    // what happened is on disk: leave, and leave alone what still runs
    end = 5,     // ask it and everything that it started to end
  };
  Kind kind = Kind::go;
  std::int32_t signal = 0;
  std::uint32_t attempt = 0;
  std::uint64_t token = 0;
};

// From the guardian to the front.
struct Notice {
  enum class Kind : std::uint32_t {
    ready = 1,        // `holder` is the guardian
    started = 2,      // the command runs
    not_started = 3,  // it could not be executed; `value` is the errno
    ended = 4,        // the command's own process ended; `value` is its wait status
    killed = 5,       // nothing of what it started is left
  };
  Kind kind = Kind::ready;
  std::int32_t value = 0;
  Holder holder;
};

static_assert(std::is_trivially_copyable_v<Order> && std::is_trivially_copyable_v<Notice>);

// False when the other side is gone.
template <class Message>
[[nodiscard]] bool send_message(const Descriptor& socket, const Message& message) {
  const auto sent =
      retry([&] { return ::send(socket.get(), &message, sizeof message, MSG_NOSIGNAL); });
  return sent == static_cast<ssize_t>(sizeof message);
}

// Waits for a message; nullopt when the other side is gone.
template <class Message>
[[nodiscard]] std::optional<Message> receive_message(const Descriptor& socket) {
  Message message;
  const auto got = retry([&] { return ::recv(socket.get(), &message, sizeof message, 0); });
  if (got != static_cast<ssize_t>(sizeof message)) return std::nullopt;
  return message;
}

}  // namespace once::supervise
