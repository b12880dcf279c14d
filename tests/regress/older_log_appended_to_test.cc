// The model asked for more than a container promises: that a log lacks nothing of what was appended
// to it between the making of its successor and the first byte there. RocksDB appends to the newest
// log only, and the container makes durable what the older ones have when it makes that.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "container/checked_run.h"

using namespace once;
using namespace once::testing;

namespace {

constexpr const char* older = "/db/000002.log";
constexpr const char* newer = "/db/000003.log";

// What is wrong after `program` and a power cut, of any of the ways to lose what was not synced.
std::vector<std::string> problems_after(const std::vector<Op>& program) {
  std::vector<CrashPlan> plans{{.kind = CrashPlan::Kind::none},
                               {.kind = CrashPlan::Kind::all},
                               {.kind = CrashPlan::Kind::each_torn}};
  for (std::uint64_t i = 0; i < 12; ++i) {
    plans.push_back({.kind = CrashPlan::Kind::all_but, .index = i});
    plans.push_back({.kind = CrashPlan::Kind::only, .index = i});
    plans.push_back({.kind = CrashPlan::Kind::some, .seed = i});
  }
  std::vector<std::string> problems;
  for (const CrashPlan& plan : plans) {
    CheckedRun run;
    for (const Op& op : program) {
      if (auto problem = run.step(op); !problem.empty()) problems.push_back(std::move(problem));
    }
    if (auto problem = run.cut_power(plan); !problem.empty()) {
      problems.push_back(std::move(problem));
    }
  }
  return problems;
}

}  // namespace

TEST_CASE("what an older log gets once a newer one is there may be lost without it") {
  const std::vector<std::string> problems =
      problems_after({{.kind = Op::Kind::make_directory, .path = "/db"},
                      {.kind = Op::Kind::create, .path = older, .slot = 1},
                      {.kind = Op::Kind::create, .path = newer, .slot = 2},
                      {.kind = Op::Kind::append, .length = 8251, .slot = 1},
                      {.kind = Op::Kind::append, .length = 74, .slot = 2}});
  CHECK(problems == std::vector<std::string>{});
}

TEST_CASE("what it had before is there if the newer one has anything") {
  const std::vector<std::string> problems =
      problems_after({{.kind = Op::Kind::make_directory, .path = "/db"},
                      {.kind = Op::Kind::create, .path = older, .slot = 1},
                      {.kind = Op::Kind::append, .length = 8251, .slot = 1},
                      {.kind = Op::Kind::create, .path = newer, .slot = 2},
                      {.kind = Op::Kind::append, .length = 74, .slot = 2}});
  CHECK(problems == std::vector<std::string>{});
}
