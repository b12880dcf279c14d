// What lies outside of the stores and does not die with the process: effects that were had, events
// that were received, the ledger of another bank, and what the stores have acknowledged. Everything
// that must not happen is noticed here, at the moment at which it happens.
//
//   world.had_effect("once/3", true);       // `problem` says so if it must not be had any more
//   world.received("o7.1", false);
//
// A value: a power cut goes back to the world as it was then, and what was acknowledged by then
// must still hold.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "once/once.h"

namespace once::testing::patterns {

// An operation that is carried out with Executor::execute().
struct Operation {
  bool in_doubt = false;  // its policy: what was broken off is not run again
  int effects = 0;
  bool open = false;              // an attempt was begun whose end was not heard of
  std::optional<Bytes> answer{};  // the first one that was acknowledged
};

// What commits events: an order (a transact()), or the node of a workflow.
struct Order {
  enum class State : std::uint8_t {
    begun,      // may be committed, or not
    committed,  // acknowledged, or found
    absent,     // known not to be there
    refused,    // its failure is what was kept
  };
  State state = State::begun;
  bool durable = true;  // else a power cut may take it back
  bool of_workflow = false;
  std::vector<std::string> events{};
};
[[nodiscard]] std::string_view to_string(Order::State state);

struct Message {
  std::string aggregate{};
  std::string order{};
  int received = 0;
  bool noted = false;      // the relay has acknowledged that it was delivered
  bool processed = false;  // the inbox has acknowledged it
};

struct NodeLife {
  int effects = 0;
  bool acknowledged = false;  // its checkpoint
};

struct RunLife {
  std::map<std::string, NodeLife> nodes{};
  std::optional<Bytes> answer{};
  std::optional<Time> due{};  // of its timer, as was acknowledged
  bool open = false;          // somebody began it and did not give it back
  bool failing = false;       // it was told to fail for good
};

// A transaction over several places, as the bank that is no store sees it, too.
struct Transfer {
  bool saga = false;
  bool acknowledged = false;   // the coordinator has told of it
  std::optional<bool> told{};  // to commit (or abort): by the coordinator, to whomever
  std::uint64_t highest = 0;   // token
  bool prepared = false;       // at the other bank
  bool committed = false;
  bool aborted = false;
};

// A key that is reserved by hand, and its owners.
struct Hand {
  std::vector<Reservation> stale{};      // somebody took over from them
  std::optional<Reservation> current{};  // nobody did, as far as is known
  bool done = false;
};

// An outcome that is replaced by later ones (refresh). "!code" stands for a failure.
struct Replaced {
  int effects = 0;
  std::optional<Bytes> kept{};  // acknowledged, or seen
  std::set<Bytes> perhaps{};    // may have been kept: nobody has heard of it
  bool absent = false;          // may have been removed
};

// An outcome to which each call adds a word (merge).
struct Merged {
  int calls = 0;
  std::set<std::string> in{};       // acknowledged, or seen
  std::set<std::string> perhaps{};  // nobody has heard of it
};

// Keys that were carried out by one call, in one commit.
struct Bulk {
  std::map<std::string, Bytes> answers{};
};

// A lock, as what it guards sees it.
struct Guarded {
  std::uint64_t highest = 0;  // token
  bool free = true;           // that it was given back is on disk, and nobody has taken it since
};

// A pipeline. Its stages are operations.
struct PipeLife {
  std::optional<Bytes> answer{};
};

struct World {
  Time now{std::chrono::seconds(1'700'000'000)};
  Duration up{};  // since the last boot that is counted
  std::uint32_t boots = 0;
  std::uint32_t lives = 0;
  std::uint32_t made = 0;  // orders and transfers

  std::map<std::string, Operation> operations{};
  std::map<std::string, Order> orders{};
  std::map<std::string, Message> messages{};
  std::vector<std::string> commits{};  // events, in the order in which they were committed
  std::map<std::string, RunLife> runs{};
  std::map<std::string, Transfer> transfers{};
  std::map<std::string, Hand> hands{};
  std::map<std::string, Replaced> replaced{};
  std::map<std::string, Merged> merged{};
  std::optional<Bulk> bulk{};  // nobody has heard of its end
  std::map<std::string, Guarded> guarded{};
  std::map<std::string, PipeLife> pipes{};
  // Who was at work on a key: all but the greatest have lost it for good.
  std::map<Key, std::set<Token>> holders{};
  std::string problem{};  // the first one

  void blame(const std::string& what) {
    if (problem.empty()) problem = what;
  }

  // The effect of an operation. Returns what names it: its result.
  Bytes had_effect(const std::string& name);
  void held(const Key& key, Token token) { holders[key].insert(token); }

  // An order of the name commits `events` now, or will not; takes its place in the order.
  void begin_order(const std::string& name, const Order& order, const std::string& aggregate);
  void end_order(const std::string& name, Order::State state);
  // What is committed and synced takes all before it along.
  void synced();
  // What was not synced is gone, or not.
  void power_cut();

  // The receiver was handed an event. `stale`: by a relay that was taken over from, which cannot
  // know; what it brings again is no fault.
  void handed_over(const std::string& id, bool stale);
  void received(const std::string& id) { ++messages[id].received; }
  // The relay has acknowledged that these are delivered.
  void noted(const std::vector<std::string>& ids) {
    for (const std::string& id : ids) messages[id].noted = true;
  }

  // A node is at work. Returns its output.
  Bytes ran(const std::string& run, const std::string& node);
  void acknowledge(const std::string& run, const std::string& node) {
    runs[run].nodes[node].acknowledged = true;
  }

  // A participant is told what was decided.
  void told(const std::string& transfer, bool commit);
};

}  // namespace once::testing::patterns
