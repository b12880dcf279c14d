#include "rivals/server.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <sstream>
#include <thread>

#include "rivals/rival.h"

namespace once::bench {
namespace {

using namespace std::chrono_literals;

// In the child, after fork(): nothing here allocates.
[[noreturn]] void become(char* const* arguments, char* const* environment, const RunAs& as,
                         const char* log, pid_t parent) {
  const int output = open(log, O_CREAT | O_WRONLY | O_APPEND, 0644);
  const int input = open("/dev/null", O_RDONLY);
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  setsid();  // an interrupt from the keyboard is for the benchmark alone
  signal(SIGINT, SIG_DFL);
  if (geteuid() == 0 && as.user != 0) {
    if (setgroups(0, nullptr) != 0 || setgid(as.group) != 0 || setuid(as.user) != 0) _exit(126);
  }
  prctl(PR_SET_PDEATHSIG, SIGINT);
  if (getppid() != parent) _exit(126);
  execve(arguments[0], arguments, environment);
  _exit(127);
}

pid_t start(const std::vector<std::string>& command, const RunAs& as,
            const std::filesystem::path& log, const std::filesystem::path& syncs) {
  std::vector<char*> arguments;
  for (const auto& part : command) arguments.push_back(const_cast<char*>(part.c_str()));
  arguments.push_back(nullptr);
  std::vector<std::string> variables = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"};
  if (!syncs.empty()) {
    variables.push_back("ONCE_BENCH_SYNCS=" + syncs.string());
    // A copy, since the server's user may not reach the folder of the build.
    const auto counter = log.parent_path() / "count-syncs.so";
    std::filesystem::copy_file(ONCE_BENCH_COUNT_SYNCS, counter,
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::permissions(syncs, std::filesystem::perms(0666));
    variables.push_back("LD_PRELOAD=" + counter.string());
  }
  std::vector<char*> environment;
  for (auto& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) throw Unable("no process could be started for " + command[0]);
  if (child == 0) become(arguments.data(), environment.data(), as, log.c_str(), parent);
  return child;
}

}  // namespace

RunAs unprivileged(const std::string& name) {
  if (geteuid() != 0) return {geteuid(), getegid()};
  const passwd* user = getpwnam(name.c_str());
  if (user == nullptr) throw Unable("it does not run as root, and there is no user " + name);
  return {user->pw_uid, user->pw_gid};
}

void run_command(const std::vector<std::string>& command, const RunAs& as,
                 const std::filesystem::path& log) {
  const pid_t child = start(command, as, log, {});
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw Unable(command[0] + " failed (does its user reach the folder? see --dir)");
  }
}

Server::Server(const std::vector<std::string>& command, const RunAs& as,
               const std::filesystem::path& log, const std::filesystem::path& syncs,
               int stop_signal)
    : process_(start(command, as, log, syncs)), stop_signal_(stop_signal) {}

bool Server::ended() {
  if (process_ > 0 && waitpid(process_, nullptr, WNOHANG) == process_) process_ = -1;
  return process_ < 0;
}

Server::~Server() {
  if (ended()) return;
  kill(process_, stop_signal_);
  for (int i = 0; i < 3000; ++i) {
    if (ended()) return;
    std::this_thread::sleep_for(10ms);
  }
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
}

std::string find_program(const std::string& name, const std::vector<std::filesystem::path>& folders,
                         const std::string& package) {
  std::vector<std::filesystem::path> all = folders;
  const char* path = std::getenv("PATH");
  std::istringstream parts(path == nullptr ? "/usr/bin:/bin" : path);
  for (std::string part; std::getline(parts, part, ':');) all.emplace_back(part);
  for (const auto& folder : all) {
    if (access((folder / name).c_str(), X_OK) == 0) return folder / name;
  }
  throw Unable("there is no " + name + "; it is in the package " + package);
}

void check_socket_path(const std::filesystem::path& path) {
  if (path.string().size() >= sizeof(sockaddr_un{}.sun_path)) {
    throw Unable("the path of the folder is too long for a socket; see --dir");
  }
}

}  // namespace once::bench
