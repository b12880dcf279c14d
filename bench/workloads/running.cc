// B15: `once run` of a command, against starting the same command and waiting for it.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "content.h"
#include "workloads/workload.h"

extern char** environ;

namespace once::bench {
namespace {

constexpr const char* command = "/bin/true";

void run(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = -1;
  const int error = posix_spawn(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  check(error == 0, "starting " + words[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, words[0] + " did not end well");
}

Samples compare(Stage& stage, Length length) {
  if (!std::filesystem::exists(stage.tool)) {
    stage.left_out["once in B15"] = stage.tool.string() + " is not built; see --tool";
    return {};
  }
  const std::string store = (stage.folder / "run.once").string();
  static std::uint64_t key = 0;
  Sample bare = timed(1, length / 2, [](int) {
    return [](Stopwatch& watch) {
      watch.start();
      run({command});
      watch.stop();
    };
  });
  Sample once = timed(1, length, [&](int) {
    return [&](Stopwatch& watch) {
      const auto name = std::to_string(key++);
      watch.start();
      run({stage.tool.string(), "run", store, "--key", name, "--", command});
      watch.stop();
    };
  });
  once.figures["ms on top"] = (once.p50_us - bare.p50_us) / 1000;
  return {{"once", once}, {"bare", bare}};
}

}  // namespace

void add_running(std::vector<Workload>& all) {
  all.push_back({.id = "B15",
                 .variant = "",
                 .what = "once run, against fork + exec of the same command",
                 .beside = compare});
}

}  // namespace once::bench
