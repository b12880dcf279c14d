// A process with two stores on simulated disks and every pattern on top of them, under a clock that
// a test moves:
//
//   main    the application's own: execute(), orders and their events, workflows, the coordinator
//           of transfers with the part that takes money, an inbox
//   other   somebody else's: an inbox, and the part of a transfer that gets money
//
//   Site site(fresh_disks(), {}, {});
//   check(site.open());
//   check(site.call({.kind = PatternCall::Kind::enqueue}));
//   check(site.settle());        // everything that was begun comes to its end, and is right
//
// Functions that give a string give what is wrong, or nothing.
#pragma once

#include <array>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/manual_clock.h"
#include "once/once.h"
#include "patterns/program.h"
#include "patterns/timeline.h"
#include "support/simulated_device.h"
#include "support/simulated_processes.h"

namespace once::testing::patterns {

using Disks = std::array<std::shared_ptr<SimulatedDevice>, 2>;

[[nodiscard]] Disks fresh_disks();

// How long a run with a timer sleeps.
inline constexpr Duration nap = std::chrono::minutes(30);

struct SiteOptions {
  // What is known of the processes that were there before.
  Liveness earlier = Liveness::dead;
  // Calls may fail because of a disk.
  bool may_fail = false;
};

class Site {
 public:
  Site(Disks disks, World world, const SiteOptions& options);
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;
  ~Site();

  // Opens both stores. Errors: as the stores give them.
  Result<void> try_open();
  // Opens, and compares what is there with what was acknowledged.
  std::string open();
  std::string check();
  std::string call(const PatternCall& call);
  // Lets all that was begun come to its end, without any fault, and checks what came of it; with
  // `verify` every row and byte, too.
  std::string settle(bool verify = true);
  Result<void> close();
  // Closes without asking whether that went well, as a process that ends does.
  void drop();

  [[nodiscard]] Timeline& timeline() { return timeline_; }
  [[nodiscard]] const Disks& disks() const { return disks_; }
  [[nodiscard]] bool is_open() const { return other_.has_value(); }
  // What the call that was made last was answered, for whoever wants to be told.
  [[nodiscard]] const std::string& heard() const { return heard_; }

 private:
  // executing.cc
  void execute(std::uint8_t which, std::uint8_t how);
  void execute(const std::string& name, std::uint8_t how);
  ExecutorOptions executor_options(const std::string& name, bool has_resolver);
  Result<Bytes> work(const std::string& name, const Reservation& mine);
  void take_answer(const std::string& name, const Operation& before,
                   const Result<Executed<Bytes>>& done);
  void reserve(std::uint8_t which, std::uint8_t how);
  void late(std::uint8_t which, std::uint8_t how);
  [[nodiscard]] Result<void> write_late(const Reservation& mine, std::uint8_t how);
  void refuses_late(const Reservation& stale, std::uint8_t how);
  // replacing.cc
  void refresh(std::uint8_t which, std::uint8_t how);
  void take_refreshed(const std::string& name, const Bytes& made,
                      const Result<Executed<Bytes>>& done);
  // Somebody removes the key while a refresh or a merge is under way, and carries it out anew.
  void replace_meanwhile(const std::string& name, const Bytes& value);
  void merge(std::uint8_t which, std::uint8_t how);
  void take_merged(const std::string& name, const std::string& word,
                   const Result<Executed<Bytes>>& done);
  void check_replaced();
  void check_merged();
  // many.cc
  void batch(std::uint8_t which, std::uint8_t how);
  Result<Bytes> batch_work(const Reservation& mine, std::uint8_t trouble);
  void check_bulk();
  void lock(std::uint8_t which, std::uint8_t how);
  void pipeline(std::uint8_t which, std::uint8_t how);
  Result<Bytes> stage(const std::string& name, const Reservation& mine, std::uint8_t trouble);
  void check_pipes();
  // delivering.cc
  void enqueue(std::uint8_t which, std::uint8_t how);
  Result<Executed<Bytes>> commit_order(const std::string& name, const Order& order,
                                       const std::string& aggregate, std::uint8_t how);
  void take_answer_again(const std::string& name, const Order& order,
                         const Result<Executed<Bytes>>& done);
  void deliver(std::uint8_t which, std::uint8_t how);
  Result<void> receive(const Event& event);
  Result<void> receive_once(Store& store, const Event& event);
  void hold_relay();
  Result<std::unique_ptr<Relay>> make_relay();
  void retry_dead();
  // flowing.cc
  void define_flows();
  Workflow graph(const std::string& name, const WorkflowOptions& options);
  Workflow steps(const std::string& name, const WorkflowOptions& options);
  void flow(std::uint8_t which, std::uint8_t how);
  bool run_flow(std::size_t which, const std::string& id, const RunOptions& options);
  bool take_flow(const std::string& run, const Result<WorkflowRun>& done);
  void take_sleep(const std::string& run, Time until);
  Result<Bytes> node(std::size_t index, NodeContext& context, const std::string& inputs);
  Result<Bytes> booking_node(Transaction& tx, NodeContext& context);
  void acknowledge_nodes(const std::string& run, const std::vector<std::string>& kept);
  void resume();
  // transferring.cc
  Result<void> open_coordinator();
  std::vector<Participant> transfer_participants();
  void transfer(std::uint8_t which, std::uint8_t how);
  void take_transfer(const std::string& name, const Result<TransactionReport>& done);
  Result<Bytes> part(const ParticipantCall& call, const std::function<Result<Bytes>()>& work);
  static Result<void> settled(const Result<Bytes>& answer);
  void be_overtaken(const Key& transaction);
  Result<Bytes> at_other_bank(const ParticipantCall& call);
  CoordinatorOptions coordinator_options();
  void recover();
  // checking.cc
  [[nodiscard]] Bytes row_of(Store& store, const std::string& row);
  [[nodiscard]] std::map<std::string, Event> events();
  void settle_orders();
  void check_orders();
  void check_inboxes(bool at_the_end);
  void check_operations();
  void check_runs();
  void check_transfers(bool at_the_end);
  void check_ledgers(const std::string& name, const Transfer& transfer, bool commits,
                     bool at_the_end);
  std::string check_end(bool verify);

  [[nodiscard]] Result<Store> open_store(std::size_t disk, const Options& options);
  void change(const std::function<void(World&)>& change) { timeline_.change(change); }
  void blame(const std::string& what) {
    change([&](World& world) { world.blame(what); });
  }
  // Blames an error that does not belong to what was asked, unless a disk may be at fault. `fine`
  // are those that do.
  void hear(const std::string& what, const Error& error, std::initializer_list<ErrorCode> fine);
  void pass_time(Duration by);
  [[nodiscard]] static bool is_of_the_disk(ErrorCode code);

  Timeline timeline_;
  const Disks disks_;
  const SiteOptions options_;
  std::vector<std::shared_ptr<container::Device>> devices_;
  const std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  std::optional<Store> main_;
  std::optional<Store> other_;
  std::unique_ptr<Relay> relay_;
  std::unique_ptr<Coordinator> coordinator_;
  std::vector<Workflow> flows_;
  std::string heard_;

  // How the call at hand goes wrong.
  struct Mood {
    std::uint8_t how = 0;
    std::size_t at = 0;                  // a node, a part, or an event
    std::string aggregate{};             // that does not take events
    int moments = -1;                    // until the coordinator ends
    bool stale = false;                  // somebody took over
    std::optional<Reservation> relay{};  // of whoever took over as relay
    std::vector<std::string> taken{};    // events, in this pass
  };
  Mood mood_;
};

}  // namespace once::testing::patterns
