#include "signals.h"

#include <sys/signalfd.h>

#include <cstring>

#include "base/error.h"

namespace once::supervise {
namespace {

constexpr int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};
constexpr int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

bool is_ignored(int number) {
  struct sigaction action{};
  return ::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

Result<Signals> Signals::take() {
  Signals signals;
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : passed_on) ::sigaddset(&set, number);

  struct sigaction action{};
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &action, &signals.pipe_);
  // Whoever starts us with SIGCHLD ignored would have the kernel reap the command and lose its exit
  // status.
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &action, &signals.child_);
  if (::pthread_sigmask(SIG_BLOCK, &set, &signals.mask_) != 0) {
    return fail(ErrorCode::io, "cannot block signals");
  }
  signals.fd_ = Descriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.fd_) {
    return fail(ErrorCode::io, "cannot receive signals: {}", std::strerror(errno));
  }
  return signals;
}

std::optional<Signals::Arrival> Signals::next() const {
  signalfd_siginfo info{};
  const auto got = retry([&] { return ::read(fd_.get(), &info, sizeof info); });
  if (got != static_cast<ssize_t>(sizeof info)) return std::nullopt;
  return Arrival{.number = static_cast<int>(info.ssi_signo),
                 .from_terminal = info.ssi_code == SI_KERNEL};
}

std::optional<int> Signals::next_ending() const {
  while (const auto arrived = next()) {
    for (const int number : ending) {
      // A blocked signal is queued even when it is ignored.
      if (arrived->number == number && !is_ignored(number)) return number;
    }
  }
  return std::nullopt;
}

void Signals::restore() const {
  ::sigaction(SIGPIPE, &pipe_, nullptr);
  ::sigaction(SIGCHLD, &child_, nullptr);
  ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
}

}  // namespace once::supervise
