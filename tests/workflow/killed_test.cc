// Kills a process that runs workflows with SIGKILL again and again, and looks at what is left each
// time: what a later node could see is on disk, what is on disk is never repeated, every node sees
// the input that its run was begun with, and in the end every run is done.
//
//   ONCE_CRASH_SEED=N   with this seed only
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "killed_workflows.h"
#include "support/check_result.h"
#include "support/temporary_directory.h"

extern char** environ;

using namespace once;
using namespace once::testing;

namespace {

// Starts the worker; its file descriptor 3 is the other end of `pipe`.
pid_t start(const std::string& store, const std::string& log, int& pipe) {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const std::string program =
      std::filesystem::read_symlink("/proc/self/exe").parent_path().string() + "/killed_worker";
  std::vector<std::string> words{program, store, log};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], 3);
  pid_t pid = -1;
  REQUIRE(::posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments.data(), environ) == 0);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  pipe = ends[0];
  return pid;
}

// Lets the worker live for so many effects and a little longer. True if it ended by itself.
bool live(const std::string& store, const std::string& log, unsigned effects,
          std::chrono::microseconds longer) {
  int pipe = -1;
  const pid_t pid = start(store, log, pipe);
  char byte = 0;
  unsigned seen = 0;
  while (seen < effects && ::read(pipe, &byte, 1) == 1) ++seen;
  if (seen == effects) {
    std::this_thread::sleep_for(longer);  // the moment of the kill, at random
    ::kill(pid, SIGKILL);
  }
  ::close(pipe);
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  if (!killed) REQUIRE(status == 0);
  return !killed;
}

using Effects = std::map<std::string, std::map<std::string, int>>;  // by run, by node

Effects effects_in(const std::string& log) {
  Effects effects;
  std::ifstream in(log);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string operation;
    std::string id;
    std::string node;
    if (words >> operation >> id >> node) ++effects[operation + "/" + id][node];
  }
  return effects;
}

// What a look at the store found, to be compared with later ones.
struct Known {
  Effects kept{};  // how often nodes that are done had had their effect
};

void check(const std::string& path, const std::string& log, Known& known) {
  Store store = value_of(Store::open(path));
  const Effects effects = effects_in(log);
  value_of(Workflow::list(store, {}, [&](const WorkflowState& state) {
    const std::string run = state.key.operation + "/" + state.id;
    CAPTURE(run);
    CHECK(state.input == killed::input_of(state.id));
    const std::vector<std::string> done = state.completed();
    const auto is_done = [&](const std::string& node) {
      return std::ranges::count(done, node) == 1;
    };
    const auto of_run = effects.find(run);
    for (const auto& [node, needed] : killed::needs().at(state.workflow)) {
      CAPTURE(node);
      const int count =
          of_run == effects.end() || !of_run->second.contains(node) ? 0 : of_run->second.at(node);
      // It began because these were acknowledged: so they are on disk.
      for (const std::string& before : needed) {
        CAPTURE(before);
        if (count > 0) CHECK(is_done(before));
      }
      if (is_done(node)) CHECK(count >= 1);
      // It was done when last looked at: it has not had its effect again.
      const auto kept = known.kept[run].find(node);
      if (kept != known.kept[run].end()) CHECK(count == kept->second);
      if (is_done(node)) known.kept[run][node] = count;
    }
    // The effect of a transact node is there if and only if the node is done, and once.
    const auto balance = value_of(store.data(killed::balance_key(state.workflow, state.id)));
    CHECK(balance.value_or("0") == (is_done("count") ? "1" : "0"));
    return true;
  }));
  CHECK(value_of(store.verify()).problem_count == 0);
}

// Returns how often it was killed.
unsigned run_with(std::uint64_t seed) {
  CAPTURE(seed);
  TemporaryDirectory directory;
  const std::string store = directory.path() + "/s.once";
  const std::string log = directory.path() + "/log";
  std::mt19937_64 random(seed);
  Known known;
  unsigned kills = 0;
  bool ended = false;
  while (!ended && kills < 1000) {
    const auto longer =
        std::chrono::microseconds(random() % 8 == 0 ? random() % 30000 : random() % 1500);
    ended = live(store, log, 1 + static_cast<unsigned>(random() % 4), longer);
    if (!ended) ++kills;
    check(store, log, known);
  }
  CHECK(ended);
  Store opened = value_of(Store::open(store));
  int completed = 0;
  value_of(Workflow::list(opened, {}, [&](const WorkflowState& state) {
    CHECK(state.status == Status::completed);
    CHECK(std::ranges::all_of(
        state.nodes, [](const NodeState& node) { return node.status == NodeStatus::done; }));
    ++completed;
    return true;
  }));
  CHECK(completed == 2 * killed::runs_of_each);
  MESSAGE("seed ", seed, ": ", kills, " kills");
  return kills;
}

}  // namespace

TEST_CASE("kill -9 again and again: nothing acknowledged is repeated, and all runs finish") {
  if (const char* seed = std::getenv("ONCE_CRASH_SEED")) {
    run_with(std::stoull(seed));
    return;
  }
  std::random_device random;
  // How often a worker is killed before it is done differs with the machine.
  unsigned kills = 0;
  for (int i = 0; i < 3 || kills < 45; ++i) kills += run_with(random());
}
