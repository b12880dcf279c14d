#include "base/saturating.h"

#include <doctest/doctest.h>

#include <limits>

using namespace once;

TEST_CASE("sums of times stop at the end of time") {
  CHECK(after(Duration(5), Duration(3)) == Duration(8));
  CHECK(after(Duration(5), forever) == forever);
  CHECK(after(Duration(5), forever - Duration(5)) == forever);
  CHECK(after(Duration(5), forever - Duration(6)) == forever - Duration(1));
  CHECK(after(Duration(5), Duration(-3)) == Duration(5));
  CHECK(after(Time(Duration(5)), forever) == Time::max());
}

TEST_CASE("a number of milliseconds becomes a duration, whatever it is") {
  CHECK(duration_of(1.9) == Duration(1));
  CHECK(duration_of(-1) == Duration(0));
  CHECK(duration_of(static_cast<double>(forever.count())) == forever);
  CHECK(duration_of(std::numeric_limits<double>::infinity()) == forever);
  CHECK(duration_of(std::numeric_limits<double>::quiet_NaN()) == Duration(0));
}
