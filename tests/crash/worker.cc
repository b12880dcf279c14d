// The process that is killed: opens the store and puts a mixed load on it until it is killed. It
// never ends by itself. What it does it tells on file descriptor 3; see load.h.
//
//   crash_worker STORE EFFECTS LIFE SEED MODE MEMORY SABOTAGE
#include "worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

namespace once::crash {
namespace {

constexpr int pipe_file = 3;
constexpr unsigned threads = 4;

}  // namespace

void Worker::say(const Message& message) {
  const std::string line = to_line(message);
  if (::write(pipe_file, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ::_exit(9);
}

void Worker::phase(std::string name, std::string note) {
  say({.kind = "phase", .verb = std::move(name), .note = std::move(note)});
}

void Worker::bad(const Key& key, const std::string& what) {
  say({.kind = "bad", .verb = "worker", .key = key.to_string(), .note = what});
}

void Worker::bad(const Key& key, const std::string& doing, const Error& error) {
  bad(key, fmt::format("{}: {}: {}", doing, to_string(error.code), error.message));
}

void Worker::effect(const Key& key, Token token) const {
  const std::string line = fmt::format("{} {}\n", key.to_string(), token.value);
  const int file = ::open(task.effects.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  const bool written = ::write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  if (!written) bad(key, "the effect could not be written");
  ::close(file);
}

bool Worker::open() {
  phase("opening");
  Options options;
  options.memory_budget = task.memory;
  options.layout = task.layout;
  auto opened = Store::open(task.store, options);
  if (!opened) {
    bad(Key("-"), "open", opened.error());
    return false;
  }
  store.emplace(std::move(*opened));
  phase("opened");
  return true;
}

namespace {

// Every life begins with it; only the first one's counts.
void set_up_accounts(Worker& worker) {
  const Key key = key_of("setup", "accounts");
  auto done = worker.store->transact(key, [](Transaction& transaction) -> Result<void> {
    for (int i = 0; i < accounts; ++i) {
      if (auto put = transaction.put(account(i), std::to_string(balance_at_start)); !put) {
        return put;
      }
    }
    return {};
  });
  if (!done) worker.bad(key, "transact", done.error());
}

void reopen(Worker& worker) {
  worker.gate.close();
  worker.phase("closing");
  if (auto closed = worker.store->close(); !closed) worker.bad(Key("-"), "close", closed.error());
  worker.store.reset();
  worker.phase("closed");
  if (!worker.open()) return;
  worker.gate.open();
}

void sweep(Worker& worker) {
  worker.gate.enter();
  worker.phase("sweeping");
  if (auto swept = worker.store->sweep(); !swept) worker.bad(Key("-"), "sweep", swept.error());
  worker.phase("swept");
  worker.gate.leave();
}

void back_up(Worker& worker, int number) {
  worker.gate.enter();
  const std::string path =
      fmt::format("{}.backup-{}-{}", worker.task.store, worker.task.life, number);
  worker.phase("backing", path);
  auto done = worker.store->backup(path);
  if (!done) worker.bad(Key("-"), "backup", done.error());
  if (done) worker.phase("backed", path);
  worker.gate.leave();
}

// What is done besides the load, again and again.
[[noreturn]] void upkeep(Worker& worker, std::mt19937_64& random) {
  const std::string& mode = worker.task.mode;
  for (int round = 0;; ++round) {
    worker.gate.wait_for(5 + random() % 40);
    if (mode == "sweep" || (mode == "load" && random() % 20 == 0)) sweep(worker);
    if (mode == "backup" && round < 3) back_up(worker, round);
    if (mode == "reopen" || (mode == "load" && random() % 40 == 0)) reopen(worker);
    if (mode == "close") {
      worker.gate.close();
      worker.phase("closing");
      auto closed = worker.store->close();
      if (!closed) worker.bad(Key("-"), "close", closed.error());
      worker.phase("closed");
      while (true) ::pause();
    }
  }
}

int run(Task task) {
  Worker worker(std::move(task));
  std::mt19937_64 random(worker.task.seed);
  if (!worker.open()) return 1;
  set_up_accounts(worker);
  worker.phase("loading");
  std::vector<std::thread> loads;
  for (unsigned i = 0; i < threads; ++i) {
    loads.emplace_back([&worker, i] {
      Load load(worker, i);
      while (true) {
        worker.gate.enter();
        load.step();
        worker.gate.leave();
      }
    });
  }
  upkeep(worker, random);
}

}  // namespace
}  // namespace once::crash

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() != 8) return 2;
  return once::crash::run({.store = arguments[0],
                           .effects = arguments[1],
                           .life = static_cast<unsigned>(std::stoul(arguments[2])),
                           .seed = std::stoull(arguments[3]),
                           .mode = arguments[4],
                           .memory = std::stoull(arguments[5]),
                           .sabotage = static_cast<once::crash::Sabotage>(std::stoi(arguments[6])),
                           .layout = static_cast<once::Layout>(std::stoi(arguments[7]))});
}
