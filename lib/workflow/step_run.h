// Runs the function of a workflow that is written in steps: what is done already is answered from
// its checkpoints, in the order in which it was done.
#pragma once

#include <map>
#include <set>

#include "workflow/node_call.h"

namespace once {

// Used by the thread that the function runs on.
class StepContext::Impl {
 public:
  explicit Impl(workflow::RunScope& scope);

  // Calls the function and tells how it ended.
  [[nodiscard]] workflow::Ending run();
  [[nodiscard]] std::uint32_t executed() const { return executed_; }
  [[nodiscard]] std::uint32_t skipped() const { return skipped_; }

  struct Asked {
    std::string name{};
    const Work* work = nullptr;  // one of the two; neither: a timer
    const TransactWork* transact = nullptr;
    NodeOptions options{};
  };
  Result<internal::Output> step(const Asked& asked);
  Result<void> sleep(std::string_view name, const std::function<Time(Time)>& due_at);

  workflow::RunScope& scope;

 private:
  // A step's work must ask for no other: once it is done, nobody would ask for that one again.
  Result<void> check_not_within(std::string_view name) const;
  // Takes the next place for the step `name`. Errors: whatever ended the run, and a step that does
  // not belong here.
  Result<void> take_place(const std::string& name);
  [[nodiscard]] std::unexpected<Error> end(workflow::Ending ending);
  [[nodiscard]] std::unexpected<Error> end_stopped();
  // Notes that the function begins another step after the one that failed before, if one did.
  void go_on();
  // What the function set must be kept before anything runs that it belongs to. Too large, it ends
  // the run for good.
  Result<void> check_variables();
  // A step that is done, or whose failure is kept; nullopt: it is to run.
  [[nodiscard]] std::optional<Result<internal::Output>> answer(const std::string& name,
                                                               workflow::NodeRow& row);
  Result<internal::Output> run_step(const Asked& asked, workflow::NodeRow row);
  Result<internal::Output> fail_step(const Asked& asked, workflow::NodeRow row,
                                     workflow::Tried tried);
  [[nodiscard]] workflow::Ending returned(Result<internal::Output> result);

  std::map<std::uint32_t, std::string> recorded_{};  // steps that are known, by their place
  std::set<std::string, std::less<>> asked_{};
  std::uint32_t place_ = 0;
  std::optional<std::string> failed_{};  // the step before, if it failed and may be tried again
  std::optional<workflow::Ending> ended_{};
  bool unkept_ = false;                   // it was gone on from, which may not be on disk
  const std::string* at_work_ = nullptr;  // the step whose work is running
  std::uint32_t executed_ = 0;
  std::uint32_t skipped_ = 0;
};

}  // namespace once
