// Rival: a way to make operations happen once, which the benchmark compares with others. All do the
// same job: for each key they keep a status, two deadlines (lease and retention), who holds it, a
// token that grows, the attempt, and the outcome; what they acknowledge is on disk.
//
// What a rival cannot do it leaves as it is here: it then throws Unable, and the benchmark leaves
// it out of that workload, by name.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace once {
class Store;
}

namespace once::bench {

class Unable : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

// What a batch of reservations got.
struct Reserved {
  std::size_t granted = 0;
  std::vector<std::string> outcomes;  // of the keys that were finished, in their order
};

struct Filled {
  std::string key;
  std::string outcome;
};

// For one thread: a connection, with its statements prepared.
class Session {
 public:
  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  virtual ~Session() = default;

  // Reserves a fresh key and completes it, around an effect that does nothing: two commits, each on
  // disk before it goes on. Throws when the key was not free.
  virtual void execute(const std::string& key, const std::string& outcome) = 0;
  // In one commit: adds one to the row `counter_row`, and keeps the outcome of a fresh key. Returns
  // what the row is then.
  virtual std::uint64_t transact(const std::string& key, const std::string& outcome) = 0;
  // The outcome of a key that is finished.
  virtual std::string replay(const std::string& key) = 0;
  // Whether there is anything for the key.
  virtual bool seen(const std::string& key) = 0;
  // Reserves what is free of `keys`, in one commit.
  virtual Reserved reserve_many(std::span<const std::string> keys) = 0;
  // Finished keys, in one commit.
  virtual void fill(std::span<const Filled> keys, std::int64_t expires_at_ms) = 0;

  // Removes for good what expired before now, and gives space back as far as the rival does that.
  virtual void expire() {}
  // transact() without the counter, with an event of `payload` in the same commit.
  virtual void publish(const std::string&, const std::string& /*outcome*/,
                       const std::string& /*payload*/) {
    throw Unable("no outbox was written for it");
  }
  // Hands over what was published, in order, and notes that it was, a hundred in a commit. Returns
  // how many there were.
  virtual std::uint64_t deliver(const std::function<void(std::string_view payload)>&) {
    throw Unable("no outbox was written for it");
  }
};

class Rival {
 public:
  Rival() = default;
  Rival(const Rival&) = delete;
  Rival& operator=(const Rival&) = delete;
  virtual ~Rival() = default;  // closes, and ends what it started

  virtual std::unique_ptr<Session> session() = 0;
  // Processes that work for it.
  [[nodiscard]] virtual std::vector<pid_t> servers() const { return {}; }
  // Whether Session::expire() is there.
  [[nodiscard]] virtual bool expires() const { return true; }
  // How many keys are finished, by counting.
  virtual std::uint64_t finished() = 0;
};

struct OpenRival {
  std::filesystem::path folder;  // its own
  std::filesystem::path syncs;   // where servers count their syncs (usage/syncs.cc)
  std::uint64_t keys = 0;        // how many finished keys it is going to be asked for
};

struct Make {
  std::string name;
  std::string about;
  // Opens what is in the folder, or makes it. Null: not built in, for `missing`.
  std::function<std::unique_ptr<Rival>(const OpenRival&)> open;
  std::string missing;
};

// All there are, Once first.
[[nodiscard]] const std::vector<Make>& all_rivals();
[[nodiscard]] const Make* find_rival(std::string_view name);

inline constexpr std::string_view counter_row = "count";
inline constexpr std::size_t events_in_a_commit = 100;

[[nodiscard]] std::int64_t now_ms();
[[nodiscard]] inline std::int64_t lease_end() {
  return now_ms() + std::int64_t{5} * 60 * 1000;
}
[[nodiscard]] inline std::int64_t retention_end() {
  return now_ms() + std::int64_t{24} * 60 * 60 * 1000;
}
// This process, as a rival notes who holds a key.
[[nodiscard]] const std::string& owner();

// The store of a rival that is Once; else null. For what only Once does.
[[nodiscard]] Store* store_of(Rival& rival);

// Of each rival a file; null where its library was missing when this was built.
std::unique_ptr<Rival> open_once(const OpenRival& open, std::size_t replay_cache_bytes);
std::unique_ptr<Rival> open_rocksdb(const OpenRival& open, bool best);
std::unique_ptr<Rival> open_sqlite(const OpenRival& open);
std::unique_ptr<Rival> open_lmdb(const OpenRival& open);
std::unique_ptr<Rival> open_redis(const OpenRival& open);
std::unique_ptr<Rival> open_postgres(const OpenRival& open);

}  // namespace once::bench
