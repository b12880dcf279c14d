#include "worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <system_error>

extern char** environ;

namespace once::bench {
namespace {

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

std::string read_line(std::FILE* from) {
  std::string line;
  for (int byte = std::fgetc(from); byte != EOF && byte != '\n'; byte = std::fgetc(from)) {
    line += static_cast<char>(byte);
  }
  if (line.empty() && std::ferror(from) != 0) throw std::runtime_error("interrupted");
  return line;
}

}  // namespace

Worker::Worker(std::string name, const std::filesystem::path& folder) : name_(std::move(name)) {
  std::filesystem::create_directories(folder);
  int to[2];
  int from[2];
  if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) fail(errno, "making a pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
  std::string path = folder.string();
  std::string command = "once-bench";
  std::string option = "--worker";
  char* arguments[] = {command.data(), option.data(), name_.data(), path.data(), nullptr};
  const int error = posix_spawn(&process_, "/proc/self/exe", &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(to[0]);
  ::close(from[1]);
  if (error != 0) fail(error, "starting a process for " + name_);
  to_ = fdopen(to[1], "w");
  from_ = fdopen(from[0], "r");
}

Worker::~Worker() {
  try {
    close();
  } catch (const std::exception& error) {
    fmt::print(stderr, "once-bench: {}\n", error.what());
  }
}

nlohmann::json Worker::ask(const nlohmann::json& command) {
  const std::string line = command.dump() + "\n";
  std::fputs(line.c_str(), to_);
  std::fflush(to_);
  const std::string answer = read_line(from_);
  if (answer.empty()) throw std::runtime_error(name_ + ": its process has ended");
  auto json = nlohmann::json::parse(answer);
  if (json.contains("unable")) throw Unable(json["unable"].get<std::string>());
  if (json.contains("error")) {
    throw std::runtime_error(name_ + ": " + json["error"].get<std::string>());
  }
  return json;
}

void Worker::close() {
  if (process_ < 0) return;
  std::fclose(to_);  // the end of its input tells it to close
  wait();
}

void Worker::kill() {
  ::kill(process_, SIGKILL);
  std::fclose(to_);
  try {
    wait();
  } catch (const std::exception&) {
    // That it was killed.
  }
}

void Worker::wait() {
  int status = 0;
  while (waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
  std::fclose(from_);
  process_ = -1;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw std::runtime_error(name_ + ": its process did not end well");
  }
}

nlohmann::json json_of(const Sample& sample) {
  return {{"operations", sample.operations},
          {"ops_per_second", sample.per_second},
          {"p50_us", sample.p50_us},
          {"p99_us", sample.p99_us},
          {"p999_us", sample.p999_us},
          {"cpu_seconds", sample.used.cpu_seconds},
          {"syncs", sample.used.syncs},
          {"written_bytes", sample.used.written_bytes},
          {"memory_bytes", sample.memory_bytes},
          {"figures", sample.figures}};
}

Sample sample_of(const nlohmann::json& json) {
  Sample sample{.operations = json.at("operations"),
                .per_second = json.at("ops_per_second"),
                .p50_us = json.at("p50_us"),
                .p99_us = json.at("p99_us"),
                .p999_us = json.at("p999_us"),
                .memory_bytes = json.at("memory_bytes"),
                .figures = json.at("figures")};
  sample.used = {.cpu_seconds = json.at("cpu_seconds"),
                 .syncs = json.at("syncs"),
                 .written_bytes = json.at("written_bytes")};
  return sample;
}

}  // namespace once::bench
