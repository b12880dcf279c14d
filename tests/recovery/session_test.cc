// The fixed program and random ones, without any crash: the store answers as the model does.
#include "recovery/session.h"

#include <doctest/doctest.h>

#include <utility>

#include "recovery/program.h"
#include "recovery/quick_place.h"

using namespace once;
using namespace once::testing;

namespace {

// Runs `program` on a fresh store; every answer and every row as the model has them.
void check_program(const std::vector<Call>& program) {
  auto device = std::make_shared<SimulatedDevice>();
  Session session(device, {});
  REQUIRE(session.open(Ending::power_cut) == "");
  for (std::size_t i = 0; i < program.size(); ++i) {
    CAPTURE(i);
    CAPTURE(program[i].describe());
    REQUIRE(session.run(program[i]) == "");
    REQUIRE(session.compare_live() == "");
  }
  CHECK(session.verify() == "");
  REQUIRE(session.close().has_value());
  CHECK(problem_with_container(device) == "");
  MESSAGE(program.size() << " calls of the store, " << device->calls().total << " of the device");
}

}  // namespace

TEST_CASE("the fixed program is answered as the model answers") {
  check_program(fixed_program());
}

TEST_CASE("large commits are answered as the model answers") {
  check_program(large_program());
}

TEST_CASE("the place that loses no time has the file system of the one below") {
  // Not a wrapper of it: some of those drop what a file is opened with.
  Options options;
  options.create_if_missing = true;
  auto place = engine::make_file_place(
      "simulated.once", {.options = options, .device = std::make_shared<SimulatedDevice>()});
  engine::Place& below = *place;
  const auto quick = make_quick(std::move(place));
  REQUIRE(quick->open_for_writing().has_value());
  CHECK(quick->env()->GetFileSystem() == below.env()->GetFileSystem());
}
