// A reader's check of all bytes opened tables by name that the writer had removed meanwhile, and
// called the store damaged.
#include <doctest/doctest.h>

#include "store/fixture.h"
#include "support/layouts.h"

using namespace once;
using namespace once::testing;

TEST_CASE_TEMPLATE(
    "a reader checks what it sees, although the writer has replaced every file of it", L, LAYOUTS) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("s");
  Store writer = value_of(Store::open(path, {.layout = L::layout}));
  value_of(writer.execute("first", [] { return Bytes("x"); }));
  value_of(writer.sweep());
  Store reader = value_of(Store::open(path, {.read_only = true}));
  value_of(writer.execute("second", [] { return Bytes("y"); }));
  value_of(writer.sweep());
  const VerifyReport report = value_of(reader.verify());
  for (const std::string& problem : report.problems) FAIL_CHECK(problem);
  CHECK(report.problem_count == 0);
  CHECK_FALSE(value_of(reader.find("second")));
}
