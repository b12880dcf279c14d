// A store on a simulated device with the reference model beside it: every call goes to both.
//
//   Session session(std::make_shared<SimulatedDevice>(), {});
//   check(session.open(Ending::power_cut));
//   check(session.run({.request = {.kind = Request::Kind::reserve, .key = "k"}}));
//   ...
//   // the power goes:
//   Session after(std::make_shared<SimulatedDevice>(device->moment().crash(plan)),
//   session.state()); check(after.open(Ending::power_cut));   // compares what is found with what
//   may be there
//
// Functions that give a string give what is wrong, or nothing.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/manual_clock.h"
#include "support/simulated_device.h"
#include "support/simulated_processes.h"
#include "support/store_model.h"

namespace once::testing {

// One line of a program.
struct Call {
  enum class Kind : std::uint8_t {
    ask,
    pass_time,
    reopen,  // closed in good order, and opened
  };

  Kind kind = Kind::ask;
  Request request{};
  std::size_t back = 0;  // which reservation of the key presents its token: 0 the latest one
  Duration by{};

  [[nodiscard]] std::string describe() const;
};

// What goes on from one life of a store to the next.
struct SessionState {
  StoreModel model{};
  std::map<Key, std::vector<Token>> tokens{};  // of the reservations that were told of
  Time now{std::chrono::seconds(1'700'000'000)};
  std::uint32_t lives = 0;
  std::uint32_t boots = 0;
  Duration up{};  // since the last boot
};

struct SessionOptions {
  // Small, so that flushes and compactions come along.
  std::size_t memory_budget = std::size_t{1} << 20;
  bool read_only = false;
  // Calls may fail because of the disk.
  bool may_fail = false;
  // What is known of the processes that had the store before.
  Liveness earlier = Liveness::dead;
};

// What `store` answers. Never throws.
[[nodiscard]] Reply perform(Store& store, const Request& request);

// Somebody who asks a store and remembers the answers, with a model of the part of the store that
// nobody else changes: all of it, or one thread's keys.
class Client {
 public:
  explicit Client(SessionState state) : state_(std::move(state)) {}

  // One call of kind `ask`; compares the answer. With `may_fail` the disk may be at fault.
  std::string ask(Store& store, const Call& call, bool may_fail);

  [[nodiscard]] const SessionState& state() const { return state_; }
  [[nodiscard]] SessionState& state() { return state_; }
  // Of the call that was made last.
  [[nodiscard]] const Expected& expected() const { return expected_; }
  [[nodiscard]] const Reply& heard() const { return heard_; }

 private:
  void learn_tokens(const Request& request);

  SessionState state_;
  Expected expected_{};
  Reply heard_{};
};

class Session {
 public:
  Session(std::shared_ptr<SimulatedDevice> device, SessionState state,
          const SessionOptions& options = {});
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // Opens without looking. Errors: as the store gives them.
  Result<void> try_open(Ending ending);
  // Compares what is there with the model, which goes on from it.
  std::string compare(Ending ending);
  // Both.
  std::string open(Ending ending);
  std::string run(const Call& call);
  // What is there is what the model has; the model learns the numbers.
  std::string compare_live();
  // Every row and every byte checks out.
  std::string verify();
  Result<void> close();
  // Closes without asking whether that went well, as a process that ends does.
  void drop();

  [[nodiscard]] bool is_open() const { return store_.has_value(); }
  [[nodiscard]] Store& store() { return *store_; }
  [[nodiscard]] const SessionState& state() const { return client_.state(); }
  [[nodiscard]] SessionState& state() { return client_.state(); }
  [[nodiscard]] SimulatedDevice& device() { return *device_; }
  // Of the call that was made last.
  [[nodiscard]] const Expected& expected() const { return client_.expected(); }
  [[nodiscard]] const Reply& heard() const { return client_.heard(); }

 private:
  [[nodiscard]] std::uint64_t failed_writes() const;

  const std::shared_ptr<SimulatedDevice> device_;
  Client client_;
  const SessionOptions options_;
  const std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  std::optional<Store> store_;
  std::uint64_t failed_before_ = 0;  // writes and syncs, when it was opened
};

// Reads all of a container that nobody has open, and accounts for its blocks.
std::string problem_with_container(const std::shared_ptr<SimulatedDevice>& device);

}  // namespace once::testing
