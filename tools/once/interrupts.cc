#include "interrupts.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>

namespace once::tool {
namespace {

constexpr std::array signals{SIGINT, SIGTERM, SIGHUP};

volatile std::sig_atomic_t caught_signal = 0;
volatile std::sig_atomic_t wake_descriptor = -1;
std::array<struct sigaction, signals.size()> before;

void note(int signal) {
  const int saved = errno;
  caught_signal = signal;
  const std::uint64_t one = 1;
  if (wake_descriptor >= 0 && ::write(wake_descriptor, &one, sizeof one) < 0) {
    // Full means that it is readable already, which is all that is asked of it.
  }
  errno = saved;
}

}  // namespace

Interrupts::Interrupts() {
  wake_descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  for (std::size_t i = 0; i < signals.size(); ++i) {
    struct sigaction action{};
    action.sa_handler = &note;  // without SA_RESTART: a write to a full pipe must return
    ::sigaction(signals[i], nullptr, &before[i]);
    if (before[i].sa_handler != SIG_IGN) ::sigaction(signals[i], &action, nullptr);
  }
}

Interrupts::~Interrupts() {
  for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &before[i], nullptr);
  const int descriptor = wake_descriptor;
  wake_descriptor = -1;
  if (descriptor >= 0) ::close(descriptor);
}

int Interrupts::caught() {
  return caught_signal;
}

int Interrupts::descriptor() const {
  return wake_descriptor;
}

void Interrupts::die() {
  const int signal = caught_signal;
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace once::tool
