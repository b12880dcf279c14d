#include "container/container_place.h"

#include <fmt/format.h>

#include <utility>

#include "container/file_system.h"

namespace once::testing {

using container::Container;
using container::ContainerOptions;
using container::NoPins;
using rocksdb::IOStatus;

namespace {

std::string text_of(const Error& error) {
  return fmt::format("{}: {}", to_string(error.code), error.message);
}

}  // namespace

ContainerOptions test_options() {
  ContainerOptions options;
  options.slot_bytes = 4096;
  options.store_id = {'o', 'n', 'c', 'e'};
  options.time_ms = [] { return std::int64_t{1'700'000'000'000}; };
  return options;
}

Result<ContainerPlace> open_place(std::shared_ptr<SimulatedDevice> device,
                                  const ContainerOptions& options) {
  auto opened = Container::open(device, std::make_shared<NoPins>(), options);
  if (!opened) return std::unexpected(std::move(opened.error()));
  ContainerPlace place{.device = std::move(device), .container = std::move(*opened)};
  if (place.container->fresh()) {
    if (auto marked = place.container->mark_created(); !marked) {
      return std::unexpected(std::move(marked.error()));
    }
  }
  place.files = container::make_file_system(place.container);
  return place;
}

Result<ContainerPlace> open_place(const DiskImage& image, const ContainerOptions& options) {
  return open_place(std::make_shared<SimulatedDevice>(image), options);
}

void attach(Runner& runner, ContainerPlace& place) {
  runner.container = [&runner, &place](Op::Kind kind) {
    const auto status = [](const Result<void>& result) {
      return result ? IOStatus::OK() : IOStatus::IOError(text_of(result.error()));
    };
    if (kind == Op::Kind::give_back) return status(place.container->give_back());
    if (kind == Op::Kind::compact) return status(place.container->compact({}));
    if (auto closed = place.container->close(); !closed) return status(closed);
    runner.replace(nullptr);
    place.files.reset();
    place.container.reset();
    auto opened = open_place(place.device);
    if (!opened) return IOStatus::IOError(text_of(opened.error()));
    place = std::move(*opened);
    runner.replace(place.files);
    return IOStatus::OK();
  };
}

std::string problem_with(ContainerPlace& place) {
  auto report = place.container->fsck({});
  if (!report) return "fsck: " + text_of(report.error());
  if (!report->problems.empty()) return "fsck: " + report->problems.front();
  if (report->blocks_used + report->blocks_free != report->blocks) {
    return fmt::format("fsck: of {} blocks {} are used and {} free", report->blocks,
                       report->blocks_used, report->blocks_free);
  }
  const auto space = place.container->space();
  if (space.used + space.free + space.held_back + container::first_block_offset != space.bytes) {
    return fmt::format("of {} bytes {} are used, {} free, {} held back", space.bytes, space.used,
                       space.free, space.held_back);
  }
  return "";
}

namespace {

std::string read_place(ContainerPlace& place, Tree* tree) {
  tree->clear();
  const IOStatus status = read_tree(*place.files, "", tree);
  return status.ok() ? "" : "reading: " + status.ToString();
}

// Opens, and shows what is there.
std::string open_and_read(const DiskImage& image, const ContainerOptions& options,
                          ContainerPlace* place, Tree* tree) {
  auto opened = open_place(image, options);
  if (!opened) return "opening: " + text_of(opened.error());
  *place = std::move(*opened);
  return read_place(*place, tree);
}

std::string problem_when_reading(const DiskImage& image, const FileModel& floor,
                                 const FileModel& ceiling) {
  ContainerOptions options = test_options();
  options.read_only = true;
  ContainerPlace place;
  Tree found;
  std::string problem = open_and_read(image, options, &place, &found);
  if (problem.empty()) problem = floor.problem_with(found, ceiling);
  if (problem.empty()) {
    const CallCounts calls = place.device->calls();
    const bool changed = calls.total != calls.of(CallKind::read) + calls.of(CallKind::query);
    if (changed) problem = "it was changed:\n" + place.device->log();
  }
  return problem.empty() ? problem : "opened to read: " + problem;
}

// What is shown must still be there after `plan`.
std::string problem_when_cut_again(const Moment& moment, CrashPlan::Kind kind,
                                   const FileModel& shown, const char* when) {
  ContainerPlace place;
  Tree found;
  std::string problem = open_and_read(moment.crash({.kind = kind}), test_options(), &place, &found);
  if (problem.empty()) problem = shown.difference_to(found);
  if (problem.empty()) problem = problem_with(place);
  return problem.empty() ? problem : fmt::format("{}: {}", when, problem);
}

}  // namespace

std::string problem_after(const DiskImage& image, const FileModel& floor,
                          const FileModel& ceiling) {
  std::string problem = problem_when_reading(image, floor, ceiling);
  if (!problem.empty()) return problem;
  ContainerPlace place;
  Tree found;
  problem = open_and_read(image, test_options(), &place, &found);
  if (problem.empty()) problem = floor.problem_with(found, ceiling);
  if (problem.empty()) problem = problem_with(place);
  if (!problem.empty()) return problem;

  const FileModel shown = FileModel::of(found);
  for (const auto kind : {CrashPlan::Kind::none, CrashPlan::Kind::all}) {
    problem = problem_when_cut_again(place.device->moment(), kind, shown, "power cut again");
    if (!problem.empty()) return problem;
  }

  // Writes on, in the place where the torn end of a log may have been.
  FileModel written = shown;
  Runner runner(place.files);
  for (const Op& op :
       std::initializer_list<Op>{{.kind = Op::Kind::make_directory_if_missing, .path = "/after"},
                                 {.kind = Op::Kind::create, .path = "/after/000099.log"},
                                 {.kind = Op::Kind::append, .length = 300},
                                 {.kind = Op::Kind::sync},
                                 {.kind = Op::Kind::create, .path = "/after/000098.sst", .slot = 1},
                                 {.kind = Op::Kind::append, .length = 5000, .slot = 1},
                                 {.kind = Op::Kind::sync, .slot = 1},
                                 {.kind = Op::Kind::sync_directory, .path = "/after"}}) {
    const Answer answer = runner.run(op);
    if (!answer.ok() || !written.run(op).ok()) {
      return fmt::format("written on: {}: {}", op.describe(), answer.describe());
    }
  }
  problem = problem_when_cut_again(place.device->moment(), CrashPlan::Kind::none, written,
                                   "written on, and power cut");
  if (!problem.empty()) return problem;
  runner.let_go();
  if (auto closed = place.container->close(); !closed) {
    return "closing: " + text_of(closed.error());
  }
  return problem_when_cut_again(place.device->moment(), CrashPlan::Kind::none, written, "closed");
}

}  // namespace once::testing
