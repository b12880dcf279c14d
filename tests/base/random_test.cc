#include "base/random.h"

#include <doctest/doctest.h>

#include <set>

using namespace once;

TEST_CASE("ids do not repeat") {
  std::set<std::array<std::uint8_t, 16>> seen;
  for (int i = 0; i < 1000; ++i) CHECK(seen.insert(random_id()).second);
}

TEST_CASE("a UUID of version 7 has the form of RFC 9562 and sorts by time") {
  const std::string early = uuid_v7(Time(Duration(0x0123456789ab)));
  CHECK(early.size() == 36);
  CHECK(early.substr(0, 15) == "01234567-89ab-7");
  CHECK(std::string("89ab").find(early[19]) != std::string::npos);
  CHECK(early < uuid_v7(Time(Duration(0x0123456789ac))));
  CHECK(early != uuid_v7(Time(Duration(0x0123456789ab))));
}
