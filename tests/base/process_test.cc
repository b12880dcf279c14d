#include "base/process.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <functional>

using namespace once;

namespace {

// A child that waits until it is killed, and its holder as it says itself.
struct Child {
  pid_t pid = -1;
  Holder holder;
};

Child start_child(const std::function<void()>& prepare = [] {}) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    prepare();
    const Holder self = system_processes()->self();
    [[maybe_unused]] const auto written = ::write(ends[1], &self, sizeof self);
    while (true) ::pause();
  }
  Child child{.pid = pid, .holder = {}};
  REQUIRE(::read(ends[0], &child.holder, sizeof child.holder) == sizeof child.holder);
  ::close(ends[0]);
  ::close(ends[1]);
  return child;
}

}  // namespace

TEST_CASE("this process runs, and knows itself") {
  const auto processes = system_processes();
  const Holder self = processes->self();
  CHECK(self.pid == static_cast<std::uint32_t>(::getpid()));
  CHECK(self.start_time != 0);
  CHECK(self.boot != BootId{});
  CHECK(processes->liveness(self) == Liveness::running);
}

TEST_CASE("a process runs until it is killed; a zombie is dead, and so is one that was reaped") {
  const auto processes = system_processes();
  const Child child = start_child();
  CHECK(processes->liveness(child.holder) == Liveness::running);
  REQUIRE(::kill(child.pid, SIGKILL) == 0);
  siginfo_t ended{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child.pid), &ended, WEXITED | WNOWAIT) == 0);
  CHECK(processes->liveness(child.holder) == Liveness::dead);  // not reaped yet
  REQUIRE(::waitpid(child.pid, nullptr, 0) == child.pid);
  CHECK(processes->liveness(child.holder) == Liveness::dead);
}

TEST_CASE("a guardian that is dead runs for as long as its front keeps it as a zombie") {
  const auto processes = system_processes();
  const auto self = static_cast<std::uint32_t>(::getpid());
  for (const bool ours : {true, false}) {
    CAPTURE(ours);
    const Child child = start_child([&] { name_guardian(ours ? self : self + 1); });
    REQUIRE(::kill(child.pid, SIGKILL) == 0);
    siginfo_t ended{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(child.pid), &ended, WEXITED | WNOWAIT) == 0);
    const Liveness kept = ours ? Liveness::running : Liveness::dead;
    CHECK(processes->liveness(child.holder) == kept);
    REQUIRE(::waitpid(child.pid, nullptr, 0) == child.pid);
    CHECK(processes->liveness(child.holder) == Liveness::dead);
  }
}

TEST_CASE("a later process with the same number is another one") {
  Holder before = system_processes()->self();
  before.start_time -= 1;
  CHECK(system_processes()->liveness(before) == Liveness::dead);
}

TEST_CASE("another boot: dead; another namespace or nobody: unknown") {
  Holder holder = system_processes()->self();
  holder.boot[0] ^= 1;
  CHECK(system_processes()->liveness(holder) == Liveness::dead);
  holder = system_processes()->self();
  holder.pid_namespace += 1;
  CHECK(system_processes()->liveness(holder) == Liveness::unknown);
  CHECK(system_processes()->liveness(Holder{}) == Liveness::unknown);
}

TEST_CASE("a fork is counted in the child, and files to be closed are closed there only") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const std::uint32_t before = fork_generation();
  close_in_forked_child(ends[1]);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const bool counted = fork_generation() == before + 1;
    const bool closed = ::write(ends[1], "x", 1) < 0;
    ::_exit(counted && closed ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  CHECK(status == 0);
  CHECK(fork_generation() == before);
  CHECK(::write(ends[1], "x", 1) == 1);
  forget_in_forked_child(ends[1]);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("the name of a process") {
  CHECK_FALSE(command_name(static_cast<std::uint32_t>(::getpid())).empty());
  CHECK(command_name(0).empty());
}
