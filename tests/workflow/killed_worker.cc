// The process that is killed: goes on with what was left, begins what has not begun, and ends when
// everything is done. Every effect is a line in a log, synced, and a byte on file descriptor 3.
//
//   killed_worker STORE LOG
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "killed_workflows.h"

namespace once::killed {
namespace {

[[noreturn]] void give_up(const char* what, const std::string& message) {
  (void)std::fprintf(stderr, "worker: %s: %s\n", what, message.c_str());
  ::_exit(1);
}

int work(const char* path, const char* log) {
  const int file = ::open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0) give_up("log", log);
  const Effect effect = [file](const NodeContext& node) {
    if (node.run_input() != input_of(node.run_id())) give_up("input", node.run_id());
    const std::string line = node.key().operation + " " + node.run_id() + " " + node.name() + "\n";
    const bool written =
        ::write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
        ::fsync(file) == 0 && ::write(3, "x", 1) == 1;
    if (!written) give_up("effect", node.name());
  };
  auto store = Store::open(path);
  if (!store) give_up("open", store.error().message);
  const std::vector<Workflow> workflows{graph(effect), steps(effect)};
  for (bool left = true; left;) {
    const auto check = [](const Key& key, const Result<WorkflowRun>& run) {
      if (!run) give_up(key.to_string().c_str(), run.error().message);
      return true;
    };
    auto resumed = Workflow::resume_all(*store, workflows, check);
    if (!resumed) give_up("resume_all", resumed.error().message);
    left = false;
    for (int id = 0; id < runs_of_each; ++id) {
      for (const Workflow& workflow : workflows) {
        const std::string name = std::to_string(id);
        const auto run = workflow.run(*store, name, {.input = input_of(name)});
        check(Workflow::key(workflow.name(), name), run);
        left = left || !run->finished();
      }
    }
    // The timers are what is left: 20 ms by the machine's clock.
    if (left) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return 0;
}

}  // namespace
}  // namespace once::killed

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  return once::killed::work(argv[1], argv[2]);
}
