#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iostream>
#include <memory>

#include "content.h"
#include "worker.h"
#include "workloads/workload.h"

namespace once::bench {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

class Side {
 public:
  Side(const Make& make, std::filesystem::path folder)
      : make_(make), folder_(std::move(folder)), syncs_(folder_.string() + ".syncs") {
    std::ofstream(syncs_, std::ios::binary).write("\0\0\0\0\0\0\0\0", 8);
  }

  Json answer(const Json& command) {
    const std::string what = command.at("do");
    if (what == "open") return open(command.value("keys", std::uint64_t{0}));
    if (what == "fill") return fill(command);
    if (what == "run") return run(command);
    if (what == "check") {
      check_all(*bench_);
      return Json::object();
    }
    if (what == "expect") {
      bench_->filled = command.at("keys");
      return Json::object();
    }
    if (what == "replay") return replay(command.at("times"));
    if (what == "memory") return {{"bytes", memory_now(rival_->servers())}};
    if (what == "disk") return {{"bytes", disk_bytes(folder_)}};
    throw std::runtime_error("there is no command " + what);
  }

 private:
  // How long it took, with a first question.
  Json open(std::uint64_t keys) {
    const auto before = std::chrono::steady_clock::now();
    rival_ = make_.open({.folder = folder_, .syncs = syncs_, .keys = keys});
    rival_->session()->seen("a key that nobody used");
    const std::chrono::duration<double, std::micro> took =
        std::chrono::steady_clock::now() - before;
    bench_ = std::make_unique<Bench>(*rival_, folder_);
    memory_probe = [this] { return memory_now(rival_->servers()); };
    usage_probe = [this] {
      const auto servers = rival_->servers();
      return usage_now(servers, servers.empty() ? std::filesystem::path() : syncs_);
    };
    return {{"us", took.count()}};
  }

  Json fill(const Json& command) {
    const std::uint64_t begin = command.at("begin");
    const std::uint64_t end = command.at("end");
    bench::fill(*rival_, begin, end, command.value("expires_at", retention_end()));
    bench_->filled = std::max(bench_->filled, end);
    return Json::object();
  }

  Json run(const Json& command) {
    const Workload* workload = find_workload(command.at("workload").get<std::string>());
    if (workload == nullptr || !workload->run) throw std::runtime_error("no such workload");
    const Length length{command.at("nanoseconds").get<std::int64_t>()};
    Sample sample = workload->run(*bench_, length);
    if (sample.memory_bytes == 0) sample.memory_bytes = memory_probe();
    return json_of(sample);
  }

  // So many times a random one of the keys that are filled.
  Json replay(std::uint64_t times) {
    session_ = rival_->session();
    std::uint64_t random = 1;
    for (std::uint64_t i = 0; i < times; ++i) {
      const auto number = mix(random) % bench_->filled;
      check(session_->replay(filled_key(number)) == random_value(number), "a replay");
    }
    return Json::object();
  }

  const Make& make_;
  std::filesystem::path folder_;
  std::filesystem::path syncs_;
  std::unique_ptr<Rival> rival_;
  std::unique_ptr<Session> session_;  // stays, so that its memory can be seen
  std::unique_ptr<Bench> bench_;
};

}  // namespace

int work_for_benchmark(const std::string& name, const std::filesystem::path& folder) {
  signal(SIGINT, SIG_IGN);  // the end of the input tells when to stop
  // What libraries print must not get between the answers.
  const int answers = dup(STDOUT_FILENO);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  std::FILE* to = fdopen(answers, "w");
  const Make* make = find_rival(name);
  if (make == nullptr || !make->open) return 2;
  Side side(*make, folder);
  for (std::string line; std::getline(std::cin, line);) {
    Json answer;
    try {
      answer = side.answer(Json::parse(line));
    } catch (const Unable& error) {
      answer = {{"unable", error.what()}};
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    fmt::print(to, "{}\n", answer.dump(-1, ' ', false, Json::error_handler_t::replace));
    std::fflush(to);
  }
  return 0;
}

}  // namespace once::bench
