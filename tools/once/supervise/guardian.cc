#include "guardian.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <cstdlib>
#include <iterator>

#include "base/process.h"
#include "message.h"
#include "once/holder.h"
#include "tree.h"

namespace once::supervise {
namespace {

class Guardian {
 public:
  explicit Guardian(GuardianJob job) : job_(std::move(job)) {}

  void run();

 private:
  void prepare();
  // Returns when the front is done or gone.
  void follow();
  // False: leave.
  bool obey(const Order& order);
  void start(const Order& order);
  [[noreturn]] void become_command(const Order& order, int failed);
  void let_go_of_streams(bool input);
  void reap();
  void note_end(pid_t child, int status);
  // Reads whether the command could be executed, and says so.
  void note_start();
  void kill_everything();
  void tell(Notice::Kind kind, int value = 0);

  GuardianJob job_;
  const pid_t self_ = ::getpid();
  pid_t group_ = 0;
  pid_t command_ = 0;    // 0 before it started and after it ended
  Descriptor children_;  // readable when a child ended
  Descriptor starting_;  // ends when the command was executed, or brings the errno
};

void Guardian::run() {
  prepare();
  const Notice ready{.kind = Notice::Kind::ready, .holder = system_processes()->self()};
  if (children_ && send_message(job_.control, ready)) follow();
  ::_exit(0);
}

void Guardian::prepare() {
  // Not "once", so that killall -9 of that name leaves somebody to clean up.
  name_guardian(static_cast<std::uint32_t>(job_.front));
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  sigset_t set;
  ::sigfillset(&set);
  ::pthread_sigmask(SIG_SETMASK, &set, nullptr);
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGCHLD);
  children_ = Descriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  // The group is 0 when its leader is outside of our pid namespace; the command could then not get
  // back into it.
  group_ = ::getpgid(job_.front);
  if (group_ > 0) ::setpgid(0, 0);
  if (job_.out) let_go_of_streams(false);
}

// Whoever waits for the end of the front's output must not have to wait for the guardian.
void Guardian::let_go_of_streams(bool input) {
  const Descriptor nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!nothing) return;
  if (input) ::dup2(nothing.get(), STDIN_FILENO);
  ::dup2(nothing.get(), STDOUT_FILENO);
  ::dup2(nothing.get(), STDERR_FILENO);
}

void Guardian::follow() {
  for (;;) {
    pollfd events[] = {{.fd = starting_.get(), .events = POLLIN, .revents = 0},
                       {.fd = children_.get(), .events = POLLIN, .revents = 0},
                       {.fd = job_.control.get(), .events = POLLIN, .revents = 0}};
    retry([&] { return ::poll(events, std::size(events), -1); });
    if (events[0].revents != 0) note_start();
    if (events[1].revents != 0) reap();
    if (events[2].revents == 0) continue;
    const auto order = receive_message<Order>(job_.control);
    if (!order) return kill_everything();  // the front died
    if (!obey(*order)) return;
  }
}

bool Guardian::obey(const Order& order) {
  switch (order.kind) {
    case Order::Kind::go:
      start(order);
      break;
    case Order::Kind::signal:
      // Its number cannot have been given to another process: nobody but us reaps it.
      if (command_ > 0) ::kill(command_, order.signal);
      break;
    case Order::Kind::end:
      // All of them: a shell acts on a signal only when what it waits for has ended.
      for (const pid_t process : descendants()) ::kill(process, SIGTERM);
      break;
    case Order::Kind::kill:
      kill_everything();
      tell(Notice::Kind::killed);
      break;
    case Order::Kind::done:
      return false;
  }
  return true;
}

void Guardian::start(const Order& order) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return tell(Notice::Kind::not_started, errno);
  Descriptor failed(ends[1]);
  starting_ = Descriptor(ends[0]);
  command_ = ::fork();
  if (command_ == 0) become_command(order, failed.get());
  if (command_ < 0) {
    command_ = 0;
    starting_.reset();
    return tell(Notice::Kind::not_started, errno);
  }
  job_.out.reset();
  job_.err.reset();
  let_go_of_streams(true);
}

void Guardian::become_command(const Order& order, int failed) {
  // Should the guardian be killed, the command's own process dies with it, even when nobody else is
  // left. It may have died before this call.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != self_) ::_exit(127);
  if (group_ > 0) ::setpgid(0, group_);
  if (job_.out) ::dup2(job_.out.get(), STDOUT_FILENO);
  if (job_.err) ::dup2(job_.err.get(), STDERR_FILENO);
  ::setenv("ONCE_KEY", job_.key.c_str(), 1);
  ::setenv("ONCE_TOKEN", std::to_string(order.token).c_str(), 1);
  ::setenv("ONCE_ATTEMPT", std::to_string(order.attempt).c_str(), 1);
  std::vector<char*> arguments;
  for (const std::string& argument : *job_.command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  job_.signals->restore();
  ::execvp(arguments[0], arguments.data());
  const int reason = errno;
  (void)!::write(failed, &reason, sizeof reason);
  ::_exit(127);
}

void Guardian::note_start() {
  int reason = 0;
  const auto got = retry([&] { return ::read(starting_.get(), &reason, sizeof reason); });
  starting_.reset();
  if (got != static_cast<ssize_t>(sizeof reason)) return tell(Notice::Kind::started);
  retry([&] { return ::waitpid(command_, nullptr, 0); });
  command_ = 0;
  tell(Notice::Kind::not_started, reason);
}

void Guardian::reap() {
  signalfd_siginfo info;
  while (::read(children_.get(), &info, sizeof info) > 0) {
  }
  // One signal may stand for many children.
  int status = 0;
  pid_t child = 0;
  while ((child = ::waitpid(-1, &status, WNOHANG)) > 0) note_end(child, status);
}

void Guardian::note_end(pid_t child, int status) {
  if (child != command_) return;
  if (starting_) note_start();  // it ended before we looked how it had started
  if (command_ == 0) return;
  command_ = 0;
  tell(Notice::Kind::ended, status);
}

void Guardian::kill_everything() {
  kill_tree(0, [this](pid_t child, int status) { note_end(child, status); });
}

void Guardian::tell(Notice::Kind kind, int value) {
  // A front that is gone is noticed where its orders are read.
  (void)send_message(job_.control, Notice{.kind = kind, .value = value, .holder = {}});
}

}  // namespace

void run_guardian(GuardianJob job) {
  Guardian(std::move(job)).run();
  ::_exit(0);
}

}  // namespace once::supervise
