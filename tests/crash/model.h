// What the checker knows of one store: everything that the workers were told is done, and for each
// key the one thing that was asked and not answered when the worker was killed.
//
// take() follows a worker while it lives. check() compares what is found afterwards with what may
// be there, and takes over what turned out, so that the next life starts from certainty.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "load.h"
#include "rows.h"

namespace once::crash {

// A key that one thread alone has: what is there is known exactly.
struct HandState {
  bool present = false;
  Status status = Status::released;
  std::uint64_t token = 0;  // 0: not known, since a killed worker did not hear of it
  std::uint32_t attempt = 0;
  unsigned held_in = 0;  // the life that reserved it
  bool resolved = false;
  std::set<std::string> checkpoints{};
};
struct Hand {
  HandState sure;
  std::optional<Message> pending;
};

// A key that many threads ask for, around an outside effect.
struct Pay {
  std::optional<Status> final;    // what it was answered with
  std::uint64_t final_token = 0;  // 0: not known
  std::string final_digest;       // of a success
  bool resolved = false;          // decided by resolve()
  std::set<std::uint64_t> granted;
  std::uint32_t reruns_tried = 0;  // how often somebody may have allowed to run it again
};

struct Move {
  std::uint64_t token = 0;
  std::string digest;
  bool failed = false;
};

struct Batch {
  std::size_t count = 0;
  std::vector<std::uint64_t> tokens;  // once it was said to be reserved
  bool complete_tried = false;
  bool completed = false;
};

using Effects = std::map<std::string, std::vector<std::uint64_t>>;  // tokens by key, in order

class Model {
 public:
  // A worker says so. What it cannot have been answered is a problem.
  void take(const Message& message);
  // Compares; call it once a life, after the worker's end.
  void check(const Rows& rows, const Effects& effects);
  // What holds in every whole copy of the store, whenever it was made.
  void check_copy(const Rows& rows, const std::string& name);
  void problem(std::string text);

  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }
  // How often a worker was told "ok", by verb.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& counts() const { return counts_; }

 private:
  void take_hand(const Message& message);
  void take_pay(const Message& message);
  void take_move(const Message& message);
  void take_batch(const Message& message);
  void take_publish(const Message& message);
  void take_grant(const std::string& key, std::uint64_t token);
  // What `message` makes of `state`.
  [[nodiscard]] HandState after(HandState state, const Message& message) const;
  void set_final(const Message& message, Status status, bool resolved);

  void check_hands(const Rows& rows);
  void check_pays(const Rows& rows, const Effects& effects);
  void check_effects(const std::string& key, const Pay& pay,
                     const std::vector<std::uint64_t>& tokens);
  void check_moves(const Rows& rows);
  void check_batches(const Rows& rows);
  void check_events(const Rows& rows);
  void check_results(const Rows& rows, const std::string& name);
  void check_history(const Rows& rows, const std::string& name);
  void check_bank(const Rows& rows, const std::string& name);

  unsigned life_ = 0;
  std::vector<std::string> problems_;
  std::map<std::string, std::uint64_t> counts_;
  std::map<std::string, Hand> hands_;
  std::map<std::string, Pay> pays_;
  std::map<std::string, Move> moves_;
  std::map<std::string, Batch> batches_;
  std::map<std::string, std::uint64_t> events_;  // sequence, or 0 when not heard of
  std::map<std::uint64_t, std::string> grants_;  // every token that was heard of, with its key
  std::uint64_t last_token_ = 0;                 // the greatest of the lives before
  std::uint64_t last_sequence_ = 0;
};

}  // namespace once::crash
