// A container that is used, hurt, cut off and opened again, beside a model that says what may come
// of it.
//
//   CheckedRun run;
//   std::string problem = run.step({.kind = Op::Kind::make_directory, .path = "/db"});
//   if (problem.empty()) problem = run.cut_power({CrashPlan::Kind::none});
//
// What it holds the container to, besides the answers themselves:
//   - a call fails for a reason, is as if it had not been made, and is never taken for something
//     that is missing or for a full disk;
//   - after a failed write or sync nothing is acknowledged until it is opened again, and the call
//     that failed may have happened or not;
//   - a power cut leaves what FileModel::problem_with() allows, and a sound container.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "container/container_place.h"
#include "container/file_model.h"
#include "container/file_program.h"

namespace once::testing {

// Every call gives what is wrong, or nothing. Not thread-safe.
class CheckedRun {
 public:
  // With a fresh container; ends the program if there cannot be one.
  CheckedRun();

  // Makes the call, unless nothing is laid down about it.
  std::string step(const Op& op);
  // The power goes, and the container is opened again on what is left.
  std::string cut_power(const CrashPlan& plan);
  // The process goes without closing, and the next one opens the container: the kernel still shows
  // all that was written, also what it could not write. No fault outlasts this.
  std::string end_process();
  // Reads everything.
  std::string look();

  [[nodiscard]] SimulatedDevice& device() { return *device_; }
  [[nodiscard]] ContainerPlace& place() { return place_; }
  [[nodiscard]] bool is_open() const { return place_.container != nullptr; }
  [[nodiscard]] bool poisoned() const { return is_open() && place_.container->poisoned(); }
  // What was acknowledged, and with the call that may have happened as well.
  [[nodiscard]] const FileModel& floor() const { return model_; }
  [[nodiscard]] const FileModel& ceiling() const { return maybe_ ? *maybe_ : model_; }
  // Lets go of the container, as it is.
  void let_go();
  // Keeps what is asked for and answered from now on, a line each.
  void keep_trace() { keeps_trace_ = true; }
  [[nodiscard]] const std::string& trace() const { return trace_; }

 private:
  std::string open_again();
  std::string failed(const Op& op, const Answer& is, FileModel done, bool was_poisoned);

  std::shared_ptr<SimulatedDevice> device_ = std::make_shared<SimulatedDevice>();
  ContainerPlace place_;
  std::optional<Runner> runner_;
  FileModel model_;
  std::optional<FileModel> maybe_;
  std::uint64_t struck_ = 0;  // faults, before the step under way
  bool keeps_trace_ = false;
  std::string trace_;
};

}  // namespace once::testing
