#include "victim.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

extern char** environ;

namespace once::crash {
namespace {

using SteadyClock = std::chrono::steady_clock;

// A worker that has not come to its moment by then hangs.
constexpr auto patience = std::chrono::seconds(30);

// Waits for something to read. False when there is nothing before `until`.
bool wait_readable(int file, SteadyClock::time_point until) {
  const auto left = std::max(until - SteadyClock::now(), SteadyClock::duration::zero());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  const timespec timeout{.tv_sec = static_cast<time_t>(seconds.count()),
                         .tv_nsec = std::chrono::nanoseconds(left - seconds).count()};
  pollfd waited{.fd = file, .events = POLLIN, .revents = 0};
  return ::ppoll(&waited, 1, &timeout, nullptr) > 0;
}

}  // namespace

Victim::Victim(const std::string& program, const std::vector<std::string>& arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  pipe_ = ends[0];
  std::vector<char*> words{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments)
    words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], 3);
  const int failed =
      ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, words.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (failed != 0) throw std::runtime_error("cannot start " + program);
}

Victim::~Victim() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(pipe_);
}

bool Victim::read_some(const std::function<void(const Message&)>& hear) {
  char buffer[1 << 16];
  const ssize_t size = ::read(pipe_, buffer, sizeof buffer);
  if (size <= 0) return false;
  unfinished_.append(buffer, static_cast<std::size_t>(size));
  std::size_t from = 0;
  for (std::size_t end = 0; (end = unfinished_.find('\n', from)) != std::string::npos;
       from = end + 1) {
    const auto message = parse(std::string_view(unfinished_).substr(from, end - from));
    if (!message) throw std::runtime_error("the worker said: " + unfinished_.substr(from));
    if (message->kind == "phase") {
      phases_.push_back(message->verb);
      phase_ = message->verb;
    }
    hear(*message);
  }
  unfinished_.erase(0, from);
  return true;
}

bool Victim::kill_at(const Moment& moment, const std::function<void(const Message&)>& hear) {
  auto until = SteadyClock::now() + (moment.phase.empty() ? moment.delay : patience);
  bool armed = moment.phase.empty();
  while (SteadyClock::now() < until) {
    if (!wait_readable(pipe_, until)) break;
    if (!read_some(hear)) return false;
    if (armed || std::ranges::find(phases_, moment.phase) == phases_.end()) continue;
    armed = true;
    until = SteadyClock::now() + moment.delay;
  }
  ::kill(pid_, SIGKILL);
  while (read_some(hear)) {
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

}  // namespace once::crash
