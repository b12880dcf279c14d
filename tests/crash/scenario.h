// One store through several lives: a worker puts its load on it and is killed, and what is left is
// checked, again and again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "model.h"
#include "once/options.h"
#include "victim.h"

namespace once::crash {

struct Report {
  std::uint64_t seed = 0;
  unsigned kills = 0;
  std::vector<std::string> problems;
  std::map<std::string, std::uint64_t> phases;  // what was killed, by what it was at
  std::map<std::string, std::uint64_t> counts;  // what was acknowledged, by verb
  std::uint64_t rows = 0;                       // verified
};

class Scenario {
 public:
  // Works within `directory`, which holds nothing else.
  Scenario(std::uint64_t seed, std::string directory, Sabotage sabotage = Sabotage::none,
           std::optional<Layout> layout = {});  // none: by the seed

  // Lives until so many kills were made or a problem was found.
  void run(unsigned kills);
  // One worker's life up to the kill, without looking at what is left.
  void live();
  void live(const std::string& mode, const Moment& moment);
  // What one worker's life left: opens it, three times in all, and checks.
  void check();

  [[nodiscard]] Report report() const;
  // What was acknowledged so far; for checking copies.
  [[nodiscard]] Model& model() { return model_; }
  [[nodiscard]] std::string store() const { return directory_ + "/store"; }

 private:
  [[nodiscard]] Effects read_effects() const;
  [[nodiscard]] Moment choose(std::string& mode);
  void look(bool read_only, const Rows* before, Rows& rows);
  void check_backups();

  const std::uint64_t seed_;
  const std::string directory_;
  const Sabotage sabotage_;
  const std::size_t memory_;
  const Layout layout_;
  std::mt19937_64 random_;
  unsigned life_ = 0;
  Model model_;
  Report report_;
  std::map<std::string, bool> backups_;  // true: said to be whole
};

// The program that is killed: it stands beside this one.
[[nodiscard]] std::string worker_program();

}  // namespace once::crash
