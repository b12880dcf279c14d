// Worker: a rival in a process of its own, so that memory, processor time and writes are its own,
// and that it can be killed. The benchmark starts itself again and talks with it over pipes, a line
// of JSON each.
//
//   Worker worker("sqlite", folder);
//   worker.ask({{"do", "open"}});
//   worker.ask({{"do", "fill"}, {"begin", 0}, {"end", 1000}});
//   Sample sample = sample_of(worker.ask({{"do", "run"}, {"workload", "B1, 1 thread"}, ...}));
//   worker.close();
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "measure.h"
#include "rivals/rival.h"

namespace once::bench {

class Worker {
 public:
  // Starts a process for the rival `name`, that keeps what it keeps in `folder` (made if missing).
  Worker(std::string name, const std::filesystem::path& folder);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();  // closes it

  // Sends a command and waits for the answer. Throws Unable, or std::runtime_error with what the
  // other side threw.
  nlohmann::json ask(const nlohmann::json& command);
  // Closes the rival in order, and waits for the end of the process. Throws if it did not end well.
  void close();
  // Ends the process at once: kill -9.
  void kill();

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] pid_t process() const { return process_; }

 private:
  void wait();

  std::string name_;
  pid_t process_ = -1;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
};

// The other side: reads commands from the standard input until it ends.
int work_for_benchmark(const std::string& name, const std::filesystem::path& folder);

[[nodiscard]] nlohmann::json json_of(const Sample& sample);
[[nodiscard]] Sample sample_of(const nlohmann::json& json);

}  // namespace once::bench
