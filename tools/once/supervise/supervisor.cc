#include "supervisor.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cstring>

#include "base/error.h"
#include "guardian.h"
#include "tree.h"

namespace once::supervise {
namespace {

std::unexpected<Error> system_failed(std::string_view what) {
  return fail(ErrorCode::io, "cannot {}: {}", what, std::strerror(errno));
}

struct Pipe {
  Descriptor reading;
  Descriptor writing;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_failed("make a pipe");
  return Pipe{.reading = Descriptor(ends[0]), .writing = Descriptor(ends[1])};
}

}  // namespace

Result<Supervisor> Supervisor::start(const std::vector<std::string>& command, std::string key,
                                     const Signals& signals, Streams streams) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return system_failed("make a socket pair");
  }
  Supervisor supervisor;
  supervisor.control_ = Descriptor(ends[0]);
  GuardianJob job{.command = &command,
                  .key = std::move(key),
                  .signals = &signals,
                  .front = ::getpid(),
                  .control = Descriptor(ends[1]),
                  .out = {},
                  .err = {}};
  if (streams == Streams::captured) {
    auto out = make_pipe();
    if (!out) return pass(out);
    auto err = make_pipe();
    if (!err) return pass(err);
    job.out = std::move(out->writing);
    job.err = std::move(err->writing);
    supervisor.out_ = std::move(out->reading);
    supervisor.err_ = std::move(err->reading);
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  supervisor.guardian_ = ::fork();
  if (supervisor.guardian_ < 0) return system_failed("start a process");
  if (supervisor.guardian_ == 0) {
    supervisor.control_.reset();
    supervisor.out_.reset();
    supervisor.err_.reset();
    run_guardian(std::move(job));
  }
  job.control.reset();
  const auto ready = supervisor.receive();
  if (!ready) return fail(ErrorCode::io, "the process that guards the command did not start");
  supervisor.holder_ = ready->holder;
  return supervisor;
}

Supervisor::~Supervisor() {
  if (!control_ || guardian_ <= 0) return;  // moved from, or finished
  control_.reset();
  retry([&] { return ::waitpid(guardian_, nullptr, 0); });
}

void Supervisor::go(std::uint64_t token, std::uint32_t attempt) {
  (void)send_message(control_, Order{.kind = Order::Kind::go, .attempt = attempt, .token = token});
}

void Supervisor::pass_signal(int number) {
  (void)send_message(control_, Order{.kind = Order::Kind::signal, .signal = number});
}

void Supervisor::end() {
  (void)send_message(control_, Order{.kind = Order::Kind::end});
}

void Supervisor::kill() {
  (void)send_message(control_, Order{.kind = Order::Kind::kill});
}

std::optional<Notice> Supervisor::receive() {
  return receive_message<Notice>(control_);
}

void Supervisor::clean_up() {
  // Its socket may be closed a moment before its children become ours: only once it is a zombie has
  // all of it been handed over. WNOWAIT leaves the zombie.
  siginfo_t info{};
  retry([&] { return ::waitid(P_PID, static_cast<id_t>(guardian_), &info, WEXITED | WNOWAIT); });
  kill_tree(guardian_, [](pid_t, int) {});
}

void Supervisor::finish() {
  (void)send_message(control_, Order{.kind = Order::Kind::done});
  control_.reset();
  retry([&] { return ::waitpid(guardian_, nullptr, 0); });
}

}  // namespace once::supervise
